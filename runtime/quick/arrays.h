#ifndef OLYMPUS_ARRAYS_H
#define OLYMPUS_ARRAYS_H

#include "quick.h"

/* numpy's arrays as every extension of numpy 2 sees them (`PyArrayObject_fields` of its
   ndarraytypes.h): its headers are not where Olympus is built. What numpy itself says of an array is
   compared with this when the module is loaded. */
typedef struct {
    PyObject_HEAD
    char *data;
    int axes;
    Py_ssize_t *lengths, *strides;
    PyObject *base, *dtype;
    int flags;
} Array;

#define C_CONTIGUOUS 0x1
#define WRITEABLE 0x400
#define MAY_WRITE (int)(WRITEABLE | 1u << 31) /* or may, with a warning */

/* NULL where it is none, or one of a class of its own. */
static inline Array *as_array(PyObject *value)
{
    return (PyObject *)Py_TYPE(value) == ndarray ? (Array *)value : NULL;
}

/* How many items it has; -1 where that is too much. */
static inline Py_ssize_t items_in(int axes, const Py_ssize_t *lengths)
{
    Py_ssize_t items = 1;
    for (int i = 0; i < axes; i++)
        if (__builtin_mul_overflow(items, lengths[i], &items))
            return -1;
    return items;
}

/* As `ndarray.nbytes`; -1, maybe with an exception, where that can't be said. */
Py_ssize_t nbytes_of(const Array *array);
/* As `ndarray.dtype.str`; NULL as above. */
PyObject *text_of(const Array *array);
/* As `ndarray.shape`. */
PyObject *shape_of(const Array *array);
/* An array that looks at memory of `base`, at `data`; who calls knows that it lies within. */
PyObject *view_of(PyObject *base, char *data, int is_writeable, PyObject *dtype, int axes,
                  const Py_ssize_t *lengths);

#endif

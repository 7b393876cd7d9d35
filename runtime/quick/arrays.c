/* Arrays of numpy, looked at and made without asking numpy in Python's words. */

#include "arrays.h"

#define ABI 0x02000000    /* of numpy 2 */
#define ALL_BUT_OWNED 0x103 /* C and Fortran order, aligned: what `view_of` leaves to numpy */

PyObject *ndarray;

/* Functions of numpy, at their places in its table (`_ARRAY_API`). */
enum { VERSION_OF, UPDATE_FLAGS = 92, NEW_FROM_DESCR = 94, SET_BASE = 282 };
typedef unsigned int (*version_of)(void);
typedef void (*update_flags)(PyObject *, int);
typedef PyObject *(*new_from_descr)(PyTypeObject *, PyObject *, int, const Py_ssize_t *, const Py_ssize_t *,
                                    void *, int, PyObject *);
typedef int (*set_base)(PyObject *, PyObject *);
static void **numpy_api;

/* What numpy takes long to say of a dtype; most arrays are like the one before. */
typedef struct {
    PyObject *dtype, *text;
    Py_ssize_t nbytes;    /* of an item */
} Spoken;

static PyObject *name_str, *name_itemsize;

/* NULL, maybe with an exception, where numpy can't say it. */
static const Spoken *spoken_of(const Array *array)
{
    static Spoken known;
    if (array->dtype != known.dtype) {
        PyObject *text = PyObject_GetAttr(array->dtype, name_str);
        PyObject *number = text != NULL ? PyObject_GetAttr(array->dtype, name_itemsize) : NULL;
        Py_ssize_t nbytes = number != NULL ? PyLong_AsSsize_t(number) : -1;
        Py_XDECREF(number);
        if (nbytes < 0) {
            Py_XDECREF(text);
            return NULL;
        }
        Spoken before = known;
        known = (Spoken){Py_NewRef(array->dtype), text, nbytes};
        Py_XDECREF(before.dtype);
        Py_XDECREF(before.text);
    }
    return &known;
}

PyObject *text_of(const Array *array)
{
    const Spoken *spoken = spoken_of(array);
    return spoken != NULL ? Py_NewRef(spoken->text) : NULL;
}

Py_ssize_t nbytes_of(const Array *array)
{
    const Spoken *spoken = spoken_of(array);
    Py_ssize_t items = spoken != NULL ? items_in(array->axes, array->lengths) : -1, nbytes;
    return items < 0 || __builtin_mul_overflow(items, spoken->nbytes, &nbytes) ? -1 : nbytes;
}

PyObject *shape_of(const Array *array)
{
    PyObject *made = PyTuple_New(array->axes);
    for (int i = 0; made != NULL && i < array->axes; i++) {
        PyObject *length = PyLong_FromSsize_t(array->lengths[i]);
        if (length == NULL)
            Py_CLEAR(made);
        else
            PyTuple_SET_ITEM(made, i, length);
    }
    return made;
}

PyObject *view_of(PyObject *base, char *data, int is_writeable, PyObject *dtype, int axes,
                  const Py_ssize_t *lengths)
{
    /* It takes over the dtype, and the base below. */
    PyObject *made = ((new_from_descr)numpy_api[NEW_FROM_DESCR])(
        (PyTypeObject *)ndarray, Py_NewRef(dtype), axes, lengths, NULL, data,
        is_writeable ? WRITEABLE : 0, NULL);
    if (made == NULL)
        return NULL;
    ((update_flags)numpy_api[UPDATE_FLAGS])(made, ALL_BUT_OWNED);
    if (((set_base)numpy_api[SET_BASE])(made, Py_NewRef(base)) < 0)
        Py_CLEAR(made);
    return made;
}

/* Whether an array of 6 bytes in two rows looks as it should. */
static int is_as_known(PyObject *given)
{
    Array *array = as_array(given);
    PyObject *dtype = array != NULL ? PyObject_GetAttrString(given, "dtype") : NULL;
    int is_so = dtype != NULL && array->dtype == dtype && array->axes == 2 && array->lengths[0] == 2
        && array->lengths[1] == 3 && array->strides[0] == 3 && array->strides[1] == 1
        && PyByteArray_CheckExact(array->base) && array->data == PyByteArray_AS_STRING(array->base)
        && (array->flags & (C_CONTIGUOUS | WRITEABLE)) == (C_CONTIGUOUS | WRITEABLE);
    Py_XDECREF(dtype);
    return is_so;
}

/* numpy's type and its table of functions, where they are those of the numpy that is known here. */
static int find_numpy(void)
{
    PyObject *numpy = PyImport_ImportModule("numpy"), *capsule = NULL;
    PyObject *within = numpy != NULL ? PyImport_ImportModule("numpy._core._multiarray_umath") : NULL;
    if (within != NULL)
        capsule = PyObject_GetAttrString(within, "_ARRAY_API");
    if (capsule != NULL)
        numpy_api = PyCapsule_GetPointer(capsule, NULL);
    if (numpy_api != NULL && ((version_of)numpy_api[VERSION_OF])() == ABI)
        ndarray = PyObject_GetAttrString(numpy, "ndarray");
    Py_XDECREF(numpy);
    Py_XDECREF(within);
    Py_XDECREF(capsule);
    return ndarray != NULL;
}

int arrays_ready(void)
{
    name_str = PyUnicode_InternFromString("str");
    name_itemsize = PyUnicode_InternFromString("itemsize");
    if (name_str == NULL || name_itemsize == NULL)
        return -1;
    PyObject *memory = find_numpy() ? PyByteArray_FromStringAndSize("012345", 6) : NULL, *tried = NULL;
    if (memory != NULL)
        tried = PyObject_CallFunction(ndarray, "(ii)sO", 2, 3, "u1", memory);
    int is_so = tried != NULL && is_as_known(tried);
    Py_XDECREF(memory);
    Py_XDECREF(tried);
    if (!is_so && is_for_python())
        PyErr_SetString(PyExc_ImportError, "made for numpy 2, whose arrays are laid out in another way");
    return is_so ? 0 : -1;
}

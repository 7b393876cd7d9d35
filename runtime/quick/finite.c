/* Whether an array holds neither NaN nor infinity: those are the numbers whose exponent has every bit
   set (IEEE 754-2019, 3.4). */

#include "quick.h"

#define LOOK(bits_t, exponent)                                            \
    {                                                                     \
        const bits_t *numbers = view.buf;                                 \
        for (Py_ssize_t i = 0, count = view.len / view.itemsize; i < count; i++) \
            is_odd |= (numbers[i] & (bits_t)(exponent)) == (bits_t)(exponent);   \
    }

/* None for an array that is not one of floats, in the order of this machine, in one row of memory. */
PyObject *all_finite(PyObject *module, PyObject *array)
{
    Py_buffer view;
    if (PyObject_GetBuffer(array, &view, PyBUF_FORMAT | PyBUF_ANY_CONTIGUOUS) < 0) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    int is_odd = 0, is_known = view.format != NULL && view.format[0] && !view.format[1]
                               && (uintptr_t)view.buf % (uintptr_t)view.itemsize == 0;
    switch (is_known ? view.format[0] : 0) {
    case 'e':
        LOOK(uint16_t, 0x7C00)
        break;
    case 'f':
        LOOK(uint32_t, 0x7F800000)
        break;
    case 'd':
        LOOK(uint64_t, 0x7FF0000000000000)
        break;
    default:
        is_known = 0;
    }
    PyBuffer_Release(&view);
    if (!is_known)
        Py_RETURN_NONE;
    return PyBool_FromLong(!is_odd);
}

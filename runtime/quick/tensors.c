/* Named arrays to tensors and back: tensors_of and arrays_of of messages/inference.py.

   Taken are arrays that are contiguous and of a dtype that travels as it is, and tensors whose bytes
   fill their shape; for all else Python is called. */

#include "arrays.h"
#include "fields.h"

#define MOST_AXES 8       /* as in arrays_of */

typedef struct {
    PyObject_HEAD
    Field tensor;         /* name, dtype, shape, data */
    PyObject *kinds;      /* dtype to (name, dtype, bytes of an item) */
    PyObject *dtypes;     /* name to (dtype, bytes of an item) */
    PyObject *byte;       /* the dtype of what travels */
    PyObject *else_pack, *else_unpack;
} Tensors;

enum { NAME, DTYPE, SHAPE, DATA };

static PyObject *tensor_of(const Tensors *tensors, PyObject *name, PyObject *given)
{
    const Array *array = as_array(given);
    if (array == NULL || !(array->flags & C_CONTIGUOUS))
        return NULL;
    PyObject *kind = PyDict_GetItemWithError(tensors->kinds, array->dtype);
    if (kind == NULL || !PyTuple_CheckExact(kind) || PyTuple_GET_SIZE(kind) != 3
        || PyTuple_GET_ITEM(kind, 1) != array->dtype)
        return NULL;
    Py_ssize_t nbytes = items_in(array->axes, array->lengths) * PyLong_AsSsize_t(PyTuple_GET_ITEM(kind, 2));
    PyObject *shape = nbytes > 0 ? shape_of(array) : NULL, *data = NULL, *made = NULL;
    if (shape != NULL)
        data = view_of(given, array->data, array->flags & WRITEABLE, tensors->byte, 1, &nbytes);
    if (data != NULL && (made = made_empty(&tensors->tensor)) != NULL) {
        PyObject *const fields[] = {name, PyTuple_GET_ITEM(kind, 0), shape, data};
        for (int i = 0; i < 4; i++)
            *place(&tensors->tensor, made, i) = Py_NewRef(fields[i]);
    }
    Py_XDECREF(shape);
    Py_XDECREF(data);
    return made;
}

/* What was made, or what Python makes of it where that was left to it. */
static PyObject *or_else(PyObject *made, PyObject *python, PyObject *given)
{
    return made != NULL || !is_for_python() ? made : PyObject_CallOneArg(python, given);
}

static PyObject *tensors_pack(Tensors *tensors, PyObject *arrays)
{
    if (!PyDict_CheckExact(arrays))
        return PyObject_CallOneArg(tensors->else_pack, arrays);
    /* A copy of what it holds: what is called on the way may change it. */
    PyObject *pairs = PyDict_Items(arrays);
    PyObject *made = pairs != NULL ? PyTuple_New(PyList_GET_SIZE(pairs)) : NULL;
    for (Py_ssize_t i = 0; made != NULL && i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i);
        PyObject *tensor = tensor_of(tensors, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
        if (tensor == NULL)
            Py_CLEAR(made);
        else
            PyTuple_SET_ITEM(made, i, tensor);
    }
    Py_XDECREF(pairs);
    return or_else(made, tensors->else_pack, arrays);
}

/* Takes down a shape; returns how many axes it has where `count` bytes fill it, else -1. */
static int filled(PyObject *shape, Py_ssize_t nbytes, Py_ssize_t count, Py_ssize_t lengths[MOST_AXES])
{
    if (!PyTuple_CheckExact(shape) || PyTuple_GET_SIZE(shape) > MOST_AXES || nbytes <= 0)
        return -1;
    int axes = (int)PyTuple_GET_SIZE(shape);
    for (int i = 0; i < axes; i++) {
        PyObject *length = PyTuple_GET_ITEM(shape, i);
        lengths[i] = PyLong_CheckExact(length) ? PyLong_AsSsize_t(length) : -1;
        if (lengths[i] <= 0 || __builtin_mul_overflow(nbytes, lengths[i], &nbytes))
            return -1;
    }
    return nbytes == count ? axes : -1;
}

/* The array of a tensor, or NULL, maybe with an exception. */
static PyObject *array_of(const Tensors *tensors, PyObject *tensor)
{
    PyObject *given = *place(&tensors->tensor, tensor, DATA);
    PyObject *dtype = *place(&tensors->tensor, tensor, DTYPE);
    PyObject *shape = *place(&tensors->tensor, tensor, SHAPE);
    const Array *data = given != NULL ? as_array(given) : NULL;
    if (data == NULL || dtype == NULL || shape == NULL || data->dtype != tensors->byte || data->axes != 1
        || !(data->flags & C_CONTIGUOUS) || !PyUnicode_CheckExact(dtype))
        return NULL;
    PyObject *found = PyDict_GetItemWithError(tensors->dtypes, dtype);
    if (found == NULL || !PyTuple_CheckExact(found) || PyTuple_GET_SIZE(found) != 2)
        return NULL;
    Py_ssize_t lengths[MOST_AXES], nbytes = PyLong_AsSsize_t(PyTuple_GET_ITEM(found, 1));
    int axes = filled(shape, nbytes, data->lengths[0], lengths);
    if (axes < 0)
        return NULL;
    return view_of(given, data->data, data->flags & WRITEABLE, PyTuple_GET_ITEM(found, 0), axes, lengths);
}

static PyObject *tensors_unpack(Tensors *tensors, PyObject *row)
{
    if (!PyTuple_CheckExact(row))
        return PyObject_CallOneArg(tensors->else_unpack, row);
    PyObject *made = PyDict_New();
    for (Py_ssize_t i = 0; made != NULL && i < PyTuple_GET_SIZE(row); i++) {
        PyObject *tensor = PyTuple_GET_ITEM(row, i), *name = NULL, *array = NULL;
        if (Py_IS_TYPE(tensor, tensors->tensor.cls))
            name = *place(&tensors->tensor, tensor, NAME);
        if (name != NULL && PyUnicode_CheckExact(name) && PyDict_Contains(made, name) == 0)
            array = array_of(tensors, tensor);
        if (array == NULL || PyDict_SetItem(made, name, array) < 0)
            Py_CLEAR(made);
        Py_XDECREF(array);
    }
    return or_else(made, tensors->else_unpack, row);
}

static PyObject *tensors_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *cls, *names, *kinds, *dtypes, *byte, *else_pack, *else_unpack;
    if (!PyArg_ParseTuple(args, "OO!O!O!OOO", &cls, &PyTuple_Type, &names, &PyDict_Type, &kinds,
                          &PyDict_Type, &dtypes, &byte, &else_pack, &else_unpack))
        return NULL;
    Tensors *tensors = (Tensors *)type->tp_alloc(type, 0);
    if (tensors == NULL)
        return NULL;
    tensors->kinds = Py_NewRef(kinds);
    tensors->dtypes = Py_NewRef(dtypes);
    tensors->byte = Py_NewRef(byte);
    tensors->else_pack = Py_NewRef(else_pack);
    tensors->else_unpack = Py_NewRef(else_unpack);
    int failed = read_record(&tensors->tensor, cls, names, Py_None) < 0;
    if (!failed && (failed = tensors->tensor.count != 4))
        PyErr_SetString(PyExc_TypeError, "a tensor has 4 fields");
    if (failed)
        Py_CLEAR(tensors);
    return (PyObject *)tensors;
}

static void tensors_dealloc(Tensors *tensors)
{
    clear_field(&tensors->tensor);
    Py_XDECREF(tensors->kinds);
    Py_XDECREF(tensors->dtypes);
    Py_XDECREF(tensors->byte);
    Py_XDECREF(tensors->else_pack);
    Py_XDECREF(tensors->else_unpack);
    Py_TYPE(tensors)->tp_free(tensors);
}

static PyMethodDef tensors_methods[] = {
    {"pack", (PyCFunction)tensors_pack, METH_O, "(arrays) -> tensors; as tensors_of"},
    {"unpack", (PyCFunction)tensors_unpack, METH_O, "(tensors) -> arrays; as arrays_of"},
    {NULL, NULL, 0, NULL},
};

PyTypeObject TensorsType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "olympus.runtime.quick._quick.Tensors",
    .tp_basicsize = sizeof(Tensors),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "(class, its names, dtype to (name, dtype, size), name to (dtype, size), dtype of bytes, "
              "and what packs and unpacks all that is not plain)",
    .tp_new = tensors_new,
    .tp_dealloc = (destructor)tensors_dealloc,
    .tp_methods = tensors_methods,
};

int tensors_ready(void)
{
    return PyType_Ready(&TensorsType);
}

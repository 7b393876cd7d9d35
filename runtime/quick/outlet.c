/* From a message to its record: of what has fields and nothing else. */

#include "quick.h"

typedef struct {
    PyObject_HEAD
    PyObject *plan, *pack_body;
    uint32_t channel;
    Py_ssize_t most;      /* a longer body takes a slot */
} Outlet;

/* (message, header) -> its record; None where it is for Python. */
static PyObject *outlet_record(Outlet *outlet, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "record takes a message and a header");
        return NULL;
    }
    Head head = {.channel = outlet->channel};
    PyObject *arrays = PyList_New(0), *body = NULL, *record = NULL;
    if (arrays == NULL)
        return NULL;
    PyObject *fields = fields_of(outlet->plan, args[0], args[1], arrays, &head);
    if (fields != NULL && PyList_GET_SIZE(arrays) == 0)
        body = PyObject_CallOneArg(outlet->pack_body, fields);
    if (body != NULL && PyBytes_CheckExact(body) && PyBytes_GET_SIZE(body) <= outlet->most) {
        head.length = (uint32_t)PyBytes_GET_SIZE(body);
        record = PyBytes_FromStringAndSize(NULL, BODY + head.length);
        if (record != NULL) {
            memcpy(PyBytes_AS_STRING(record), &head, sizeof head);
            memcpy(PyBytes_AS_STRING(record) + BODY, PyBytes_AS_STRING(body), head.length);
        }
    }
    Py_DECREF(arrays);
    Py_XDECREF(fields);
    Py_XDECREF(body);
    if (record != NULL || !is_for_python())
        return record;
    Py_RETURN_NONE;
}

static PyObject *outlet_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *plan, *pack_body;
    unsigned int channel;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "O!OIn", &PlanType, &plan, &pack_body, &channel, &most))
        return NULL;
    Outlet *outlet = (Outlet *)type->tp_alloc(type, 0);
    if (outlet == NULL)
        return NULL;
    outlet->plan = Py_NewRef(plan);
    outlet->pack_body = Py_NewRef(pack_body);
    outlet->channel = channel;
    outlet->most = most;
    return (PyObject *)outlet;
}

static void outlet_dealloc(Outlet *outlet)
{
    Py_XDECREF(outlet->plan);
    Py_XDECREF(outlet->pack_body);
    Py_TYPE(outlet)->tp_free(outlet);
}

static PyMethodDef outlet_methods[] = {
    {"record", (PyCFunction)(void (*)(void))outlet_record, METH_FASTCALL,
     "(message, header) -> bytes | None"},
    {NULL, NULL, 0, NULL},
};

PyTypeObject OutletType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "olympus.runtime.quick._quick.Outlet",
    .tp_basicsize = sizeof(Outlet),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "(plan, pack_body, channel, most bytes): makes records of what is plain.",
    .tp_new = outlet_new,
    .tp_dealloc = (destructor)outlet_dealloc,
    .tp_methods = outlet_methods,
};

int outlet_ready(void)
{
    return PyType_Ready(&OutletType);
}

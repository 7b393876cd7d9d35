/* From a message to its record: of what has fields and nothing else, and of questions and answers
   with short arrays besides. */

#include "quick.h"

#define CALL 4            /* flags of a record, see bus/ipc/records.py; ARRAYS is 1 */
#define ARRAYS 1
#define SHORT 16384       /* as in bus/ipc/shelf.py */
#define ALIGNED(place) (((place) + 15) / 16 * 16)
#define MOST_ARRAYS 16

static PyObject *name_dtype, *name_str, *name_shape;

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

/* ---- questions and answers: Packing.call of bus/ipc/records.py ---- */

/* Takes down `[dtype, shape, -1, start]` of each array, and where they end; -1 where they are for
   Python: another kind of array, one that is not contiguous, or more than goes in a packet. */
static Py_ssize_t entries_of(PyObject *arrays, PyObject *entries, Py_buffer *views, Py_ssize_t *starts)
{
    Py_ssize_t end = 0, count = PyList_GET_SIZE(arrays);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *array = PyList_GET_ITEM(arrays, i);
        if ((PyObject *)Py_TYPE(array) != ndarray
            || PyObject_GetBuffer(array, &views[i], PyBUF_C_CONTIGUOUS) < 0)
            return -1;
        starts[i] = ALIGNED(end);
        end = starts[i] + views[i].len;
        if (end > SHORT)
            return -1;
        PyObject *dtype = PyObject_GetAttr(array, name_dtype);
        PyObject *kind = dtype != NULL ? PyObject_GetAttr(dtype, name_str) : NULL;
        PyObject *shape = kind != NULL ? PyObject_GetAttr(array, name_shape) : NULL, *entry = NULL;
        if (shape != NULL)
            entry = Py_BuildValue("[OOin]", kind, shape, -1, starts[i]);
        Py_XDECREF(dtype);
        Py_XDECREF(kind);
        Py_XDECREF(shape);
        int failed = entry == NULL || PyList_Append(entries, entry) < 0;
        Py_XDECREF(entry);
        if (failed)
            return -1;
    }
    return end;
}

/* The record of a body, and of arrays of which the last one ends at `end`; NULL where it is for
   Python. */
static PyObject *joined(const Outlet *outlet, Head *head, PyObject *fields, Py_ssize_t end,
                        const Py_buffer *views, const Py_ssize_t *starts, Py_ssize_t count)
{
    PyObject *body = PyObject_CallOneArg(outlet->pack_body, fields), *record = NULL;
    if (body != NULL && PyBytes_CheckExact(body) && PyBytes_GET_SIZE(body) <= outlet->most) {
        Py_ssize_t length = PyBytes_GET_SIZE(body), after = BODY + length;
        Py_ssize_t tail = count ? ALIGNED(after) : after;
        head->length = (uint32_t)length;
        record = PyBytes_FromStringAndSize(NULL, tail + end);
        if (record != NULL) {
            char *at = PyBytes_AS_STRING(record);
            memcpy(at, head, sizeof *head);
            memcpy(at + BODY, PyBytes_AS_STRING(body), length);
            memset(at + after, 0, tail + end - after);
            for (Py_ssize_t i = 0; i < count; i++)
                if (views[i].len > 0)
                    memcpy(at + tail + starts[i], views[i].buf, views[i].len);
        }
    }
    Py_XDECREF(body);
    return record;
}

/* The record of fields with arrays that are short; NULL where it is for Python. */
static PyObject *with_arrays(const Outlet *outlet, Head *head, PyObject *fields, PyObject *arrays)
{
    Py_buffer views[MOST_ARRAYS] = {0};
    Py_ssize_t starts[MOST_ARRAYS], count = PyList_GET_SIZE(arrays), end = -1;
    PyObject *entries = count <= MOST_ARRAYS ? PyList_New(0) : NULL, *record = NULL;
    if (entries != NULL)
        end = entries_of(arrays, entries, views, starts);
    if (end >= 0 && PyList_Append(fields, entries) == 0) {
        head->flags |= ARRAYS;
        record = joined(outlet, head, fields, end, views, starts, count);
        if (record == NULL) {
            PyObject *type, *value, *trace;
            PyErr_Fetch(&type, &value, &trace);
            (void)PyList_SetSlice(fields, PyList_GET_SIZE(fields) - 1, PY_SSIZE_T_MAX, NULL);
            PyErr_Restore(type, value, trace);
        }
    }
    for (Py_ssize_t i = 0; entries != NULL && i < count; i++)
        if (views[i].obj != NULL)
            PyBuffer_Release(&views[i]);
    Py_XDECREF(entries);
    return record;
}

/* (kind, message, number) -> its record; where that is for Python `(body, arrays)`, or None. */
static PyObject *outlet_call(Outlet *outlet, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "call takes a kind, a message and a number");
        return NULL;
    }
    Head head = {.channel = outlet->channel, .flags = CALL};
    unsigned long kind = PyLong_AsUnsignedLong(args[0]);
    head.seq = PyErr_Occurred() ? 0 : PyLong_AsUnsignedLongLong(args[2]);
    PyObject *arrays = PyErr_Occurred() || kind > 255 ? NULL : PyList_New(0), *made = NULL;
    PyObject *fields = arrays != NULL ? fields_asked(outlet->plan, args[1], arrays, &head) : NULL;
    head.kind = (uint8_t)kind;
    if (fields != NULL)
        made = PyList_GET_SIZE(arrays) ? with_arrays(outlet, &head, fields, arrays)
            : joined(outlet, &head, fields, 0, NULL, NULL, 0);
    if (fields != NULL && made == NULL && is_for_python())
        made = PyTuple_Pack(2, fields, arrays);
    Py_XDECREF(arrays);
    Py_XDECREF(fields);
    if (made != NULL || !is_for_python())
        return made;
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
    {"call", (PyCFunction)(void (*)(void))outlet_call, METH_FASTCALL,
     "(kind, message, number) -> bytes | (body, arrays) | None"},
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
    name_dtype = PyUnicode_InternFromString("dtype");
    name_str = PyUnicode_InternFromString("str");
    name_shape = PyUnicode_InternFromString("shape");
    return name_dtype && name_str && name_shape ? PyType_Ready(&OutletType) : -1;
}

/* From the record of a question or an answer to its message: Frame.asked of bus/ipc/frames.py.

   As everywhere here, what is as it should be is taken and all else is for Python: None. Of arrays
   only those are taken whose dtype and shape came before, as Python found them then. */

#include "arrays.h"

#define CALL 4            /* flags of a record, see bus/ipc/records.py; ARRAYS is 1 */
#define ARRAYS 1
#define ALIGN 16
#define MOST_AXES 16

typedef struct {
    PyObject_HEAD
    PyObject *plan, *unpack, *tiers, *layouts, *name;
    Py_ssize_t most;      /* a body that is longer is for Python */
} Asked;

/* The number that an object is; -2 where it is none, or below -1. */
static Py_ssize_t number_of(PyObject *value)
{
    if (!PyLong_CheckExact(value))
        return -2;
    Py_ssize_t number = PyLong_AsSsize_t(value);
    if (number == -1 && PyErr_Occurred())
        PyErr_Clear();
    else if (number >= -1)
        return number;
    return -2;
}

/* What is known of a dtype and shape: (dtype, shape, bytes), or NULL. */
static PyObject *layout_of(const Asked *asked, PyObject *kind, PyObject *lengths)
{
    Py_ssize_t count = PyList_GET_SIZE(lengths);
    PyObject *key = PyTuple_New(count + 1), *found = NULL;
    if (key == NULL)
        return NULL;
    PyTuple_SET_ITEM(key, 0, Py_NewRef(kind));
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SET_ITEM(key, i + 1, Py_NewRef(PyList_GET_ITEM(lengths, i)));
    found = PyDict_GetItemWithError(asked->layouts, key);
    Py_DECREF(key);
    return found != NULL && PyTuple_CheckExact(found) && PyTuple_GET_SIZE(found) == 3 ? found : NULL;
}

/* Takes down a shape that Python has checked; returns how many axes it has, -1 where it is for it. */
static int lengths_of(PyObject *shape, Py_ssize_t lengths[MOST_AXES])
{
    if (!PyTuple_CheckExact(shape) || PyTuple_GET_SIZE(shape) > MOST_AXES)
        return -1;
    int axes = (int)PyTuple_GET_SIZE(shape);
    for (int i = 0; i < axes; i++)
        if ((lengths[i] = number_of(PyTuple_GET_ITEM(shape, i))) <= 0)
            return -1;
    return axes;
}

/* One array, as read_arrays of bus/ipc/reading.py makes it; NULL, maybe with an exception. */
static PyObject *array_of(
    const Asked *asked, PyObject *entry, PyObject *record, Py_ssize_t tail, PyObject *bases)
{
    if (!PyList_CheckExact(entry) || PyList_GET_SIZE(entry) != 4
        || !PyList_CheckExact(PyList_GET_ITEM(entry, 1)))
        return NULL;
    PyObject *layout = layout_of(asked, PyList_GET_ITEM(entry, 0), PyList_GET_ITEM(entry, 1));
    Py_ssize_t place = number_of(PyList_GET_ITEM(entry, 2));
    Py_ssize_t start = number_of(PyList_GET_ITEM(entry, 3));
    if (layout == NULL || place < -1 || place >= PyTuple_GET_SIZE(bases) || start < 0)
        return NULL;
    PyObject *held = place >= 0 ? PyTuple_GET_ITEM(bases, place) : record;
    const Array *base = as_array(held);
    if (base != NULL ? base->axes != 1 || !(base->flags & C_CONTIGUOUS) : held != record)
        return NULL;
    char *data = base != NULL ? base->data : PyBytes_AS_STRING(record) + tail;
    Py_ssize_t there = base != NULL ? base->lengths[0] : PyBytes_GET_SIZE(record) - tail;
    Py_ssize_t lengths[MOST_AXES], nbytes = number_of(PyTuple_GET_ITEM(layout, 2));
    int axes = lengths_of(PyTuple_GET_ITEM(layout, 1), lengths);
    if (axes < 0 || nbytes <= 0 || there < nbytes || start > there - nbytes)
        return NULL;
    int is_writeable = base != NULL && base->flags & WRITEABLE;
    return view_of(held, data + start, is_writeable, PyTuple_GET_ITEM(layout, 0), axes, lengths);
}

static PyObject *arrays_of(
    const Asked *asked, PyObject *entries, PyObject *record, Py_ssize_t tail, PyObject *bases)
{
    if (!PyList_CheckExact(entries))
        return NULL;
    PyObject *made = PyList_New(0);
    for (Py_ssize_t i = 0; made != NULL && i < PyList_GET_SIZE(entries); i++) {
        PyObject *array = array_of(asked, PyList_GET_ITEM(entries, i), record, tail, bases);
        if (array == NULL || PyList_Append(made, array) < 0)
            Py_CLEAR(made);
        Py_XDECREF(array);
    }
    return made;
}

/* The message, or NULL, maybe with an exception. `items` is ours: what is no field is taken off. */
static PyObject *made_of(
    const Asked *asked, const Head *head, PyObject *items, PyObject *record, PyObject *bases)
{
    int has_arrays = head->flags & ARRAYS;
    Py_ssize_t count = PyList_CheckExact(items) ? PyList_GET_SIZE(items) - 1 - has_arrays : -1;
    if (count < 0)
        return NULL;
    Py_ssize_t end = BODY + 8 * (Py_ssize_t)head->slots + head->length;
    PyObject *call = Py_NewRef(PyList_GET_ITEM(items, count)), *made = NULL;
    PyObject *arrays = !has_arrays ? PyList_New(0)
        : arrays_of(asked, PyList_GET_ITEM(items, count + 1), record, (end + ALIGN - 1) / ALIGN * ALIGN, bases);
    if (arrays != NULL && PyList_SetSlice(items, count, PY_SSIZE_T_MAX, NULL) == 0)
        made = message_asked(asked->plan, head, PyTuple_GET_ITEM(asked->tiers, head->tier), call, items,
                             arrays, asked->name);
    Py_DECREF(call);
    Py_XDECREF(arrays);
    return made;
}

/* (record, bases) -> its message; None where it is for Python. */
static PyObject *asked_message(Asked *asked, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyTuple_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "message takes a record and a tuple");
        return NULL;
    }
    Py_ssize_t nbytes = PyBytes_CheckExact(args[0]) ? PyBytes_GET_SIZE(args[0]) : 0;
    if (nbytes < BODY)
        Py_RETURN_NONE;
    const char *record = PyBytes_AS_STRING(args[0]);
    Head head;
    memcpy(&head, record, sizeof head);
    Py_ssize_t start = BODY + 8 * (Py_ssize_t)head.slots;
    if ((head.flags & ~ARRAYS) != CALL || head.tier >= PyTuple_GET_SIZE(asked->tiers)
        || head.length > asked->most || start > nbytes || head.length > nbytes - start)
        Py_RETURN_NONE;
    PyObject *body = PyBytes_FromStringAndSize(record + start, head.length), *made = NULL;
    PyObject *items = body != NULL ? PyObject_CallOneArg(asked->unpack, body) : NULL;
    if (items != NULL)
        made = made_of(asked, &head, items, args[0], args[1]);
    Py_XDECREF(body);
    Py_XDECREF(items);
    if (made != NULL || !is_for_python())
        return made;
    Py_RETURN_NONE;
}

PyObject *message_in(PyObject *asked, PyObject *record, PyObject *bases)
{
    PyObject *const given[] = {record, bases};
    PyObject *made = Py_IS_TYPE(asked, &AskedType) ? asked_message((Asked *)asked, given, 2) : NULL;
    if (made == Py_None)
        Py_CLEAR(made);
    return made;
}

static PyObject *asked_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *plan, *unpack, *tiers, *layouts, *name;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "O!OO!O!Un", &PlanType, &plan, &unpack, &PyTuple_Type, &tiers,
                          &PyDict_Type, &layouts, &name, &most))
        return NULL;
    Asked *asked = (Asked *)type->tp_alloc(type, 0);
    if (asked == NULL)
        return NULL;
    asked->plan = Py_NewRef(plan);
    asked->unpack = Py_NewRef(unpack);
    asked->tiers = Py_NewRef(tiers);
    asked->layouts = Py_NewRef(layouts);
    asked->name = Py_NewRef(name);
    asked->most = most;
    return (PyObject *)asked;
}

static void asked_dealloc(Asked *asked)
{
    Py_XDECREF(asked->plan);
    Py_XDECREF(asked->unpack);
    Py_XDECREF(asked->tiers);
    Py_XDECREF(asked->layouts);
    Py_XDECREF(asked->name);
    Py_TYPE(asked)->tp_free(asked);
}

static PyMethodDef asked_methods[] = {
    {"message", (PyCFunction)(void (*)(void))asked_message, METH_FASTCALL,
     "(record, bases) -> message | None"},
    {NULL, NULL, 0, NULL},
};

PyTypeObject AskedType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "olympus.runtime.quick._quick.Asked",
    .tp_basicsize = sizeof(Asked),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "(plan, unpack, tiers, layouts, type's name, most bytes): reads questions and answers.",
    .tp_new = asked_new,
    .tp_dealloc = (destructor)asked_dealloc,
    .tp_methods = asked_methods,
};

int asked_ready(void)
{
    return PyType_Ready(&AskedType);
}

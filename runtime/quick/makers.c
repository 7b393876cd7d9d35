/* An instance of a dataclass from all its fields: maker of messages/compiled.py. */

#include "fields.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Field record;
} Maker;

static PyObject *maker_call(PyObject *self, PyObject *const *args, size_t flagged, PyObject *names)
{
    const Field *record = &((Maker *)self)->record;
    Py_ssize_t count = PyVectorcall_NARGS(flagged);
    if (count != record->count || (names != NULL && PyTuple_GET_SIZE(names))) {
        PyErr_Format(PyExc_TypeError, "%s is made of %zd values, by place",
                     record->cls->tp_name, record->count);
        return NULL;
    }
    PyObject *made = made_empty(record);
    for (Py_ssize_t i = 0; made != NULL && i < count; i++)
        *place(record, made, i) = Py_NewRef(args[i]);
    return made;
}

static PyObject *maker_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *cls, *names;
    if (!PyArg_ParseTuple(args, "OO", &cls, &names))
        return NULL;
    Maker *maker = (Maker *)type->tp_alloc(type, 0);
    if (maker == NULL)
        return NULL;
    maker->call = maker_call;
    if (read_record(&maker->record, cls, names, Py_None) < 0)
        Py_CLEAR(maker);
    return (PyObject *)maker;
}

static void maker_dealloc(Maker *maker)
{
    clear_field(&maker->record);
    Py_TYPE(maker)->tp_free(maker);
}

/* Like plans, makers live as long as the classes they are for. */
PyTypeObject MakerType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "olympus.runtime.quick._quick.Maker",
    .tp_basicsize = sizeof(Maker),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_doc = "(class, names of its fields): makes instances of values, by place, unchecked.",
    .tp_new = maker_new,
    .tp_dealloc = (destructor)maker_dealloc,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Maker, call),
};

int makers_ready(void)
{
    return PyType_Ready(&MakerType);
}

/* The fields of a message class, each packed and unpacked by what it is: what messages/compiled.py
   makes as Python source.

   It takes what is as it should be. Whatever is not, it leaves to the Python functions, which say
   what is wrong with it: here nothing is refused and no text of an error is written. Values that
   came from outside are objects by now, msgpack made them; nothing here reads their bytes. */

#include "arrays.h"
#include "fields.h"

static PyObject *pack(const Field *field, PyObject *value, PyObject *arrays);
static PyObject *unpack(const Field *field, PyObject *value, PyObject *arrays, PyObject *where);

int is_for_python(void)
{
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return 0;
    PyErr_Clear();
    return 1;
}

/* ---- fields of instances ---- */

PyObject *made_empty(const Field *record)
{
    return record->cls->tp_alloc(record->cls, 0);
}

PyObject **place(const Field *record, PyObject *instance, Py_ssize_t index)
{
    return (PyObject **)((char *)instance + record->offsets[index]);
}

int find_offset(PyTypeObject *cls, const char *name, Py_ssize_t *offset)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)cls, name);
    if (found == NULL)
        return -1;
    PyMemberDef *member = NULL;
    if (Py_IS_TYPE(found, &PyMemberDescr_Type)
        && PyType_IsSubtype(cls, ((PyDescrObject *)found)->d_type))
        member = ((PyMemberDescrObject *)found)->d_member;
    if (member == NULL || member->type != T_OBJECT_EX) {
        PyErr_Format(PyExc_TypeError, "%s.%s is no slot", cls->tp_name, name);
        Py_DECREF(found);
        return -1;
    }
    *offset = member->offset;
    Py_DECREF(found);
    return 0;
}

/* ---- single values: NULL means that Python has to do it, with or without an exception ---- */

static int is_plain(const Field *field, PyObject *value)
{
    int overflow;
    switch (field->op) {
    case BOOL:
        return PyBool_Check(value);
    case STR:
        return PyUnicode_CheckExact(value);
    case BYTES:
        return PyBytes_CheckExact(value);
    case FLOAT:
        return PyFloat_CheckExact(value);
    case INT:
        if (!PyLong_CheckExact(value))
            return 0;
        (void)PyLong_AsLongLongAndOverflow(value, &overflow);
        return !overflow;
    default:
        return 0;
    }
}

static int is_free(const Field *field, PyObject *value)
{
    const Array *array = as_array(value);
    return array != NULL && array->dtype == field->out && array->axes == field->most;
}

static PyObject *pack_items(const Field *field, PyObject *row, PyObject *arrays)
{
    Py_ssize_t count = PyTuple_CheckExact(row) ? PyTuple_GET_SIZE(row) : field->most + 1;
    PyObject *made = count > field->most ? NULL : PyList_New(count);
    for (Py_ssize_t i = 0; made != NULL && i < count; i++) {
        PyObject *item = pack(field->fields, PyTuple_GET_ITEM(row, i), arrays);
        if (item == NULL)
            Py_CLEAR(made);
        else
            PyList_SET_ITEM(made, i, item);
    }
    return made;
}

/* The fields of an instance from the `first` on. */
PyObject *pack_record(const Field *record, PyObject *value, Py_ssize_t first, PyObject *arrays)
{
    if (Py_TYPE(value) != record->cls)
        return NULL;
    PyObject *made = PyList_New(record->count - first);
    for (Py_ssize_t i = first; made != NULL && i < record->count; i++) {
        PyObject *held = *place(record, value, i), *item = NULL;
        if (held != NULL)
            item = pack(&record->fields[i], held, arrays);
        if (item == NULL)
            Py_CLEAR(made);
        else
            PyList_SET_ITEM(made, i - first, item);
    }
    return made;
}

static PyObject *pack(const Field *field, PyObject *value, PyObject *arrays)
{
    switch (field->op) {
    case ITEMS:
        return pack_items(field, value, arrays);
    case RECORD:
        return pack_record(field, value, 0, arrays);
    case PAIRS:
        return PyDict_CheckExact(value) && !PyDict_GET_SIZE(value) ? PyDict_New() : NULL;
    case CHOICE:
        return Py_TYPE(value) == field->cls
            ? Py_XNewRef(PyDict_GetItemWithError(field->out, value)) : NULL;
    case FREE:
        if (!is_free(field, value) || PyList_Append(arrays, value) < 0)
            return NULL;
        return PyLong_FromSsize_t(PyList_GET_SIZE(arrays) - 1);
    case CALL:
        return PyObject_CallFunctionObjArgs(field->out, value, arrays, NULL);
    default:
        return is_plain(field, value) ? Py_NewRef(value) : NULL;
    }
}

static PyObject *unpack_items(const Field *field, PyObject *row, PyObject *arrays, PyObject *where)
{
    if (!PyList_CheckExact(row))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(row);
    PyObject *made = PyTuple_New(count);
    for (Py_ssize_t i = 0; made != NULL && i < count; i++) {
        /* A function that is called on the way could, in theory, change the list. */
        PyObject *given = i < PyList_GET_SIZE(row) ? PyList_GET_ITEM(row, i) : NULL;
        PyObject *item = given != NULL ? unpack(field->fields, given, arrays, where) : NULL;
        if (item == NULL)
            Py_CLEAR(made);
        else
            PyTuple_SET_ITEM(made, i, item);
    }
    return made;
}

/* An instance whose fields from the `first` on are those of a list; the ones before stay empty. */
PyObject *unpack_record(
    const Field *record, PyObject *row, Py_ssize_t first, PyObject *arrays, PyObject *where)
{
    if (!PyList_CheckExact(row) || PyList_GET_SIZE(row) != record->count - first)
        return NULL;
    PyObject *made = made_empty(record);
    for (Py_ssize_t i = first; made != NULL && i < record->count; i++) {
        PyObject *given = i - first < PyList_GET_SIZE(row) ? PyList_GET_ITEM(row, i - first) : NULL;
        PyObject *held = given != NULL
            ? unpack(&record->fields[i], given, arrays, where) : NULL;
        if (held == NULL)
            Py_CLEAR(made);
        else
            *place(record, made, i) = held;
    }
    return made;
}

static PyObject *unpack_free(const Field *field, PyObject *value, PyObject *arrays)
{
    if (!PyLong_CheckExact(value))
        return NULL;
    int overflow;
    long long index = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || index < 0 || index >= PyList_GET_SIZE(arrays))
        return NULL;
    PyObject *array = PyList_GET_ITEM(arrays, (Py_ssize_t)index);
    return is_free(field, array) ? Py_NewRef(array) : NULL;
}

static PyObject *unpack(const Field *field, PyObject *value, PyObject *arrays, PyObject *where)
{
    switch (field->op) {
    case ITEMS:
        return unpack_items(field, value, arrays, where);
    case RECORD:
        return unpack_record(field, value, 0, arrays, where);
    case PAIRS:
        return PyDict_CheckExact(value) && !PyDict_GET_SIZE(value) ? PyDict_New() : NULL;
    case CHOICE:
        return PyLong_CheckExact(value) || PyUnicode_CheckExact(value)
            ? Py_XNewRef(PyDict_GetItemWithError(field->in, value)) : NULL;
    case FREE:
        return unpack_free(field, value, arrays);
    case CALL:
        return PyObject_CallFunctionObjArgs(field->in, value, arrays, where, NULL);
    default:
        return is_plain(field, value) ? Py_NewRef(value) : NULL;
    }
}

/* ---- what a field is ---- */

void clear_field(Field *field)
{
    for (Py_ssize_t i = 0; field->fields != NULL && i < field->count; i++)
        clear_field(&field->fields[i]);
    PyMem_Free(field->fields);
    PyMem_Free(field->offsets);
    Py_CLEAR(field->out);
    Py_CLEAR(field->in);
    Py_CLEAR(field->cls);
    field->fields = NULL;
    field->offsets = NULL;
}

static int read_field(Field *field, PyObject *given);

/* `(cls, names, fields)`; the fields may be None: then only the places of names are known. */
int read_record(Field *record, PyObject *cls, PyObject *names, PyObject *fields)
{
    if (!PyType_Check(cls) || !PyTuple_Check(names) || (fields != Py_None && !PyTuple_Check(fields))) {
        PyErr_SetString(PyExc_TypeError, "a record is (class, names, fields)");
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    record->op = RECORD;
    record->cls = (PyTypeObject *)Py_NewRef(cls);
    record->offsets = PyMem_Calloc(count + 1, sizeof *record->offsets);
    if (fields != Py_None && PyTuple_GET_SIZE(fields) == count)
        record->fields = PyMem_Calloc(count + 1, sizeof *record->fields);
    if (record->offsets == NULL || (fields != Py_None && record->fields == NULL)) {
        PyErr_SetString(PyExc_TypeError, "a record has as many fields as names");
        return -1;
    }
    record->count = count;
    for (Py_ssize_t i = 0; i < count; i++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
        if (name == NULL || find_offset(record->cls, name, &record->offsets[i]) < 0)
            return -1;
        if (fields != Py_None && read_field(&record->fields[i], PyTuple_GET_ITEM(fields, i)) < 0)
            return -1;
    }
    return 0;
}

/* `(op, most, class, out, in, names, fields)`, see `_field` of messages/planned.py. */
static int read_field(Field *field, PyObject *given)
{
    int op;
    Py_ssize_t most;
    PyObject *cls, *out, *in, *names, *fields;
    if (!PyTuple_Check(given)) {
        PyErr_Format(PyExc_TypeError, "no field: %R", given);
        return -1;
    }
    if (!PyArg_ParseTuple(given, "inOOOOO", &op, &most, &cls, &out, &in, &names, &fields))
        return -1;
    if (op == RECORD)
        return read_record(field, cls, names, fields);
    if (op < BOOL || op > CALL || (op == CHOICE && !(PyDict_Check(out) && PyDict_Check(in)))
        || (op == CHOICE && !PyType_Check(cls))) {
        PyErr_Format(PyExc_TypeError, "no field: %R", given);
        return -1;
    }
    field->op = (Op)op;
    field->most = most;
    field->out = Py_NewRef(out);
    field->in = Py_NewRef(in);
    if (op == CHOICE)
        field->cls = (PyTypeObject *)Py_NewRef(cls);
    if (op != ITEMS)
        return 0;
    field->fields = PyMem_Calloc(1, sizeof *field->fields);
    if (field->fields == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    field->count = 1;
    return read_field(field->fields, fields);
}

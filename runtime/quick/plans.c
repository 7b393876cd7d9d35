/* What messages/compiled.py makes as Python source for one message class, as one object in C.

   It takes what is as it should be. Whatever is not, it leaves to the Python functions, which say
   what is wrong with it: here nothing is refused and no text of an error is written. Values that
   came from outside are objects by now, msgpack made them; nothing here reads their bytes. */

#include "quick.h"

typedef enum { BOOL, STR, BYTES, INT, FLOAT, ITEMS, RECORD, PAIRS, CHOICE, FREE, CALL } Op;

typedef struct Field {
    Op op;
    Py_ssize_t most;      /* items of ITEMS, dimensions of FREE */
    PyObject *out, *in;   /* CHOICE: member to value and back; FREE: dtype; CALL: functions */
    PyTypeObject *cls;    /* RECORD, CHOICE */
    Py_ssize_t count;     /* RECORD: its fields; ITEMS: one, that of an item */
    Py_ssize_t *offsets;  /* RECORD: where they are in an instance */
    struct Field *fields;
} Field;

typedef struct {
    PyObject_HEAD
    Field whole;          /* a RECORD; its first field is the header */
    Field header, hop;
    int is_checked;       /* the class has a __post_init__ */
    PyObject *slow_pack, *slow_unpack, *slow_received;
} Plan;

static PyObject *ndarray, *name_dtype, *name_ndim, *name_check;

static PyObject *pack(const Field *field, PyObject *value, PyObject *arrays);
static PyObject *unpack(const Field *field, PyObject *value, PyObject *arrays, PyObject *where);

/* ---- fields of instances ---- */

static PyObject *made_empty(const Field *record)
{
    return record->cls->tp_alloc(record->cls, 0);
}

static PyObject **place(const Field *record, PyObject *instance, Py_ssize_t index)
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

static int is_free(const Field *field, PyObject *array)
{
    if ((PyObject *)Py_TYPE(array) != ndarray)
        return 0;
    PyObject *dtype = PyObject_GetAttr(array, name_dtype);
    int fits = dtype == field->out;
    Py_XDECREF(dtype);
    if (!fits)
        return 0;
    PyObject *ndim = PyObject_GetAttr(array, name_ndim);
    fits = ndim != NULL && PyLong_AsSsize_t(ndim) == field->most;
    Py_XDECREF(ndim);
    return fits;
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

/* The fields of an instance from the `first` on; `extra` places are left for who asks. */
static PyObject *pack_record(const Field *record, PyObject *value, Py_ssize_t first, PyObject *arrays)
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
static PyObject *unpack_record(
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

/* ---- whole messages ---- */

/* A header of one hop: what a message has that nothing else led to. */
static PyObject *first_header(const Plan *plan, PyObject *const given[7])
{
    enum { TOPIC, SEQ, STAMP, SENT, EXPIRES, TIER, SOURCE };
    PyObject *hop = made_empty(&plan->hop), *trace = NULL, *header = NULL;
    if (hop == NULL)
        return NULL;
    const int of_hop[] = {TOPIC, SEQ, STAMP, SENT}, of_header[] = {SEQ, STAMP, EXPIRES, TIER, SOURCE};
    for (int i = 0; i < 4; i++)
        *place(&plan->hop, hop, i) = Py_NewRef(given[of_hop[i]]);
    trace = PyTuple_New(1);
    if (trace == NULL) {
        Py_DECREF(hop);
        return NULL;
    }
    PyTuple_SET_ITEM(trace, 0, hop);
    header = made_empty(&plan->header);
    if (header == NULL) {
        Py_DECREF(trace);
        return NULL;
    }
    for (int i = 0; i < 5; i++)
        *place(&plan->header, header, i) = Py_NewRef(given[of_header[i]]);
    *place(&plan->header, header, 5) = trace;
    return header;
}

/* Takes the header over. */
static PyObject *with_header(const Plan *plan, PyObject *old, PyObject *header)
{
    PyObject *made = Py_TYPE(old) == plan->whole.cls ? made_empty(&plan->whole) : NULL;
    if (made == NULL) {
        Py_DECREF(header);
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_TypeError, "%s where %s is needed", Py_TYPE(old)->tp_name,
                         plan->whole.cls->tp_name);
        return NULL;
    }
    *place(&plan->whole, made, 0) = header;
    for (Py_ssize_t i = 1; i < plan->whole.count; i++)
        *place(&plan->whole, made, i) = Py_XNewRef(*place(&plan->whole, old, i));
    return made;
}

/* Takes the header over; NULL without an exception where Python has to do it. */
static PyObject *opened(
    const Plan *plan, PyObject *items, PyObject *arrays, PyObject *where, PyObject *header)
{
    PyObject *made = header == NULL || !PyList_CheckExact(arrays)
        ? NULL : unpack_record(&plan->whole, items, 1, arrays, where);
    if (made != NULL) {
        *place(&plan->whole, made, 0) = header;
        if (!plan->is_checked)
            return made;
        PyObject *checked = PyObject_CallMethodNoArgs(made, name_check);
        Py_XDECREF(checked);
        if (checked != NULL)
            return made;
        Py_DECREF(made);
    }
    else
        Py_XDECREF(header);
    PyErr_Clear();
    return NULL;
}

static int has_count(const char *name, Py_ssize_t count, Py_ssize_t wanted)
{
    if (count == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, not %zd", name, wanted, count);
    return 0;
}

static PyObject *plan_pack(Plan *plan, PyObject *const *args, Py_ssize_t count)
{
    if (!has_count("pack", count, 2))
        return NULL;
    if (PyList_CheckExact(args[1])) {
        Py_ssize_t before = PyList_GET_SIZE(args[1]);
        PyObject *made = pack_record(&plan->whole, args[0], 1, args[1]);
        if (made != NULL)
            return made;
        PyErr_Clear();
        if (PyList_SetSlice(args[1], before, PY_SSIZE_T_MAX, NULL) < 0)
            return NULL;
    }
    return PyObject_Vectorcall(plan->slow_pack, args, count, NULL);
}

static PyObject *plan_unpack(Plan *plan, PyObject *const *args, Py_ssize_t count)
{
    if (!has_count("unpack", count, 4))
        return NULL;
    PyObject *made = opened(plan, args[0], args[1], args[2], Py_NewRef(args[3]));
    return made != NULL ? made : PyObject_Vectorcall(plan->slow_unpack, args, count, NULL);
}

static PyObject *plan_received(Plan *plan, PyObject *const *args, Py_ssize_t count)
{
    if (!has_count("received", count, 10))
        return NULL;
    PyObject *made = opened(plan, args[0], args[1], args[2], first_header(plan, args + 3));
    return made != NULL ? made : PyObject_Vectorcall(plan->slow_received, args, count, NULL);
}

static PyObject *plan_published(Plan *plan, PyObject *const *args, Py_ssize_t count)
{
    if (!has_count("published", count, 6))
        return NULL;
    PyObject *zero = PyLong_FromLong(0);
    PyObject *const given[] = {args[1], args[2], args[3], args[3], zero, args[4], args[5]};
    PyObject *header = first_header(plan, given);
    Py_DECREF(zero);
    return header != NULL ? with_header(plan, args[0], header) : NULL;
}

static PyObject *plan_with_header(Plan *plan, PyObject *const *args, Py_ssize_t count)
{
    return has_count("with_header", count, 2)
        ? with_header(plan, args[0], Py_NewRef(args[1])) : NULL;
}

/* ---- for the others here ---- */

int makes(PyObject *plan, PyObject *cls)
{
    return Py_IS_TYPE(plan, &PlanType) && (PyObject *)((Plan *)plan)->whole.cls == cls;
}

PyObject *message_of(PyObject *plan, const Head *head, PyObject *tier, PyObject *items,
                     PyObject *arrays, PyObject *const names[3])
{
    PyObject *seq = PyLong_FromUnsignedLongLong(head->seq);
    PyObject *stamp = PyLong_FromUnsignedLongLong(head->stamp);
    PyObject *sent = PyLong_FromUnsignedLongLong(head->sent);
    PyObject *expires = PyLong_FromUnsignedLongLong(head->expires);
    PyObject *made = NULL, *header = NULL;
    if (seq && stamp && sent && expires) {
        PyObject *const given[] = {names[1], seq, stamp, sent, expires, tier, names[2]};
        header = first_header((Plan *)plan, given);
    }
    made = opened((Plan *)plan, items, arrays, names[0], header);
    Py_XDECREF(seq);
    Py_XDECREF(stamp);
    Py_XDECREF(sent);
    Py_XDECREF(expires);
    return made;
}

static int as_u64(PyObject *value, uint64_t *number)
{
    if (value == NULL || !PyLong_Check(value))
        return 0;
    *number = PyLong_AsUnsignedLongLong(value);
    return *number != (uint64_t)-1 || !PyErr_Occurred();
}

PyObject *fields_of(PyObject *given, PyObject *message, PyObject *arrays, Head *head)
{
    enum { SEQ, STAMP, EXPIRES, TIER, SOURCE, TRACE };
    const Plan *plan = (Plan *)given;
    PyObject *fields = NULL, *header = NULL, *trace = NULL, *hop = NULL;
    uint64_t tier = 0;
    if (Py_TYPE(message) == plan->whole.cls)
        header = *place(&plan->whole, message, 0);
    if (header != NULL && Py_TYPE(header) == plan->header.cls)
        trace = *place(&plan->header, header, TRACE);
    if (trace != NULL && PyTuple_CheckExact(trace) && PyTuple_GET_SIZE(trace) == 1)
        hop = PyTuple_GET_ITEM(trace, 0);
    if (hop != NULL && Py_TYPE(hop) == plan->hop.cls
        && as_u64(*place(&plan->header, header, SEQ), &head->seq)
        && as_u64(*place(&plan->header, header, STAMP), &head->stamp)
        && as_u64(*place(&plan->header, header, EXPIRES), &head->expires)
        && as_u64(*place(&plan->header, header, TIER), &tier) && tier < 256
        && as_u64(*place(&plan->hop, hop, 3), &head->sent)) {
        head->tier = (uint8_t)tier;
        fields = pack_record(&plan->whole, message, 1, arrays);
    }
    if (fields == NULL)
        PyErr_Clear();
    return fields;
}

/* ---- a plan ---- */

static void clear(Field *field)
{
    for (Py_ssize_t i = 0; field->fields != NULL && i < field->count; i++)
        clear(&field->fields[i]);
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
static int read_record(Field *record, PyObject *cls, PyObject *names, PyObject *fields)
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

/* `(op, most, class, out, in, names, fields)`, see `_field` of __init__.py. */
static int read_field(Field *field, PyObject *given)
{
    int op;
    Py_ssize_t most;
    PyObject *cls, *out, *in, *names, *fields;
    if (!PyTuple_Check(given)
        || !PyArg_ParseTuple(given, "inOOOOO", &op, &most, &cls, &out, &in, &names, &fields))
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

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *cls, *names, *fields, *header, *header_names, *hop, *hop_names, *a, *b, *c;
    int is_checked;
    if (!PyArg_ParseTuple(args, "OOOpOOOOOOO", &cls, &names, &fields, &is_checked, &header,
                          &header_names, &hop, &hop_names, &a, &b, &c))
        return NULL;
    Plan *plan = (Plan *)type->tp_alloc(type, 0);
    if (plan == NULL)
        return NULL;
    plan->is_checked = is_checked;
    plan->slow_pack = Py_NewRef(a);
    plan->slow_unpack = Py_NewRef(b);
    plan->slow_received = Py_NewRef(c);
    if (read_record(&plan->whole, cls, names, fields) < 0
        || read_record(&plan->header, header, header_names, Py_None) < 0
        || read_record(&plan->hop, hop, hop_names, Py_None) < 0)
        Py_CLEAR(plan);
    else if (plan->header.count != 6 || plan->hop.count != 4 || plan->whole.count < 1) {
        PyErr_SetString(PyExc_TypeError, "a header has 6 fields and a hop has 4");
        Py_CLEAR(plan);
    }
    return (PyObject *)plan;
}

static void plan_dealloc(Plan *plan)
{
    clear(&plan->whole);
    clear(&plan->header);
    clear(&plan->hop);
    Py_XDECREF(plan->slow_pack);
    Py_XDECREF(plan->slow_unpack);
    Py_XDECREF(plan->slow_received);
    Py_TYPE(plan)->tp_free(plan);
}

#define FAST(name, doc) \
    {#name, (PyCFunction)(void (*)(void))plan_##name, METH_FASTCALL, doc}

static PyMethodDef plan_methods[] = {
    FAST(pack, "(message, arrays) -> list; as Parts.pack"),
    FAST(unpack, "(items, arrays, where, header) -> message; as Parts.unpack"),
    FAST(received, "(items, arrays, where, topic, seq, ...) -> message; as Parts.received"),
    FAST(published, "(message, topic, seq, now, tier, source) -> message; as Parts.published"),
    FAST(with_header, "(message, header) -> message; as Parts.with_header"),
    {NULL, NULL, 0, NULL},
};

/* Plans live as long as the classes they are for, that is, as the process: they take no part in
   garbage collection. */
PyTypeObject PlanType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "olympus.runtime.quick._quick.Plan",
    .tp_basicsize = sizeof(Plan),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The functions of one message class; see messages/parts.py.",
    .tp_new = plan_new,
    .tp_dealloc = (destructor)plan_dealloc,
    .tp_methods = plan_methods,
};

int plans_ready(void)
{
    name_dtype = PyUnicode_InternFromString("dtype");
    name_ndim = PyUnicode_InternFromString("ndim");
    name_check = PyUnicode_InternFromString("__post_init__");
    PyObject *numpy = PyImport_ImportModule("numpy");
    ndarray = numpy != NULL ? PyObject_GetAttrString(numpy, "ndarray") : NULL;
    Py_XDECREF(numpy);
    return name_dtype && name_ndim && name_check && ndarray ? PyType_Ready(&PlanType) : -1;
}

/* All that is done with one message class, as one object: the functions of messages/parts.py.

   Like fields.c it takes what is as it should be, and calls the Python functions for all else. */

#include "fields.h"

typedef struct {
    PyObject_HEAD
    Field whole;          /* a RECORD; its first field is the header */
    Field header, hop;
    int is_checked;       /* the class has a __post_init__ */
    PyObject *slow_pack, *slow_unpack, *slow_received, *slow_with_header, *slow_published;
} Plan;

static PyObject *name_check;

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

/* Takes the header over; NULL, maybe with an exception, where Python has to do it. */
static PyObject *with_header(const Plan *plan, PyObject *old, PyObject *header)
{
    PyObject *made = header != NULL && Py_TYPE(old) == plan->whole.cls
        ? made_empty(&plan->whole) : NULL;
    if (made == NULL) {
        Py_XDECREF(header);
        return NULL;
    }
    *place(&plan->whole, made, 0) = header;
    for (Py_ssize_t i = 1; made != NULL && i < plan->whole.count; i++) {
        PyObject *held = *place(&plan->whole, old, i);
        if (held == NULL)
            Py_CLEAR(made);
        else
            *place(&plan->whole, made, i) = Py_NewRef(held);
    }
    return made;
}

/* Takes the header over; NULL, maybe with an exception, where Python has to do it. */
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
    return NULL;
}

/* What was made, or what Python makes of the same. */
static PyObject *or_slow(PyObject *made, PyObject *slow, PyObject *const *args, Py_ssize_t count)
{
    return made != NULL || !is_for_python() ? made : PyObject_Vectorcall(slow, args, count, NULL);
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
        if (made != NULL || !is_for_python())
            return made;
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
    return or_slow(made, plan->slow_unpack, args, count);
}

static PyObject *plan_received(Plan *plan, PyObject *const *args, Py_ssize_t count)
{
    if (!has_count("received", count, 10))
        return NULL;
    PyObject *made = opened(plan, args[0], args[1], args[2], first_header(plan, args + 3));
    return or_slow(made, plan->slow_received, args, count);
}

static PyObject *plan_published(Plan *plan, PyObject *const *args, Py_ssize_t count)
{
    if (!has_count("published", count, 6))
        return NULL;
    PyObject *zero = PyLong_FromLong(0);
    PyObject *const given[] = {args[1], args[2], args[3], args[3], zero, args[4], args[5]};
    PyObject *made = zero != NULL ? with_header(plan, args[0], first_header(plan, given)) : NULL;
    Py_XDECREF(zero);
    return or_slow(made, plan->slow_published, args, count);
}

static PyObject *plan_with_header(Plan *plan, PyObject *const *args, Py_ssize_t count)
{
    if (!has_count("with_header", count, 2))
        return NULL;
    PyObject *made = with_header(plan, args[0], Py_NewRef(args[1]));
    return or_slow(made, plan->slow_with_header, args, count);
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
    if (made == NULL)
        (void)is_for_python();
    return made;
}

PyObject *message_asked(PyObject *given, const Head *head, PyObject *tier, PyObject *call, PyObject *items,
                        PyObject *arrays, PyObject *name)
{
    const Plan *plan = (Plan *)given;
    if (!PyList_CheckExact(call) || PyList_GET_SIZE(call) != 3)
        return NULL;
    PyObject *seq = PyList_GET_ITEM(call, 0), *source = PyList_GET_ITEM(call, 1);
    PyObject *hops = PyList_GET_ITEM(call, 2);
    int overflow = 1;
    if (!PyLong_CheckExact(seq) || PyLong_AsLongLongAndOverflow(seq, &overflow) < 0 || overflow
        || !PyUnicode_CheckExact(source) || !PyList_CheckExact(hops) || PyList_GET_SIZE(hops))
        return NULL;
    PyObject *header = made_empty(&plan->header);
    if (header == NULL)
        return NULL;
    PyObject *const fields[] = {
        Py_NewRef(seq), PyLong_FromUnsignedLongLong(head->stamp),
        PyLong_FromUnsignedLongLong(head->expires), Py_NewRef(tier), Py_NewRef(source), PyTuple_New(0)};
    for (int i = 0; i < 6; i++)
        *place(&plan->header, header, i) = fields[i];
    if (fields[1] == NULL || fields[2] == NULL || fields[5] == NULL)
        Py_CLEAR(header);
    return opened(plan, items, arrays, name, header);
}

static int as_u64(PyObject *value, uint64_t *number)
{
    if (value == NULL || !PyLong_Check(value))
        return 0;
    *number = PyLong_AsUnsignedLongLong(value);
    return *number != (uint64_t)-1 || !PyErr_Occurred();
}

PyObject *fields_of(
    PyObject *given, PyObject *message, PyObject *header, PyObject *arrays, Head *head)
{
    enum { SEQ, STAMP, EXPIRES, TIER, SOURCE, TRACE };
    const Plan *plan = (Plan *)given;
    PyObject *fields = NULL, *trace = NULL, *hop = NULL;
    uint64_t tier = 0;
    if (Py_TYPE(header) == plan->header.cls)
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
        (void)is_for_python();
    return fields;
}

PyObject *fields_asked(PyObject *given, PyObject *message, PyObject *arrays, Head *head)
{
    enum { SEQ, STAMP, EXPIRES, TIER, SOURCE, TRACE };
    const Plan *plan = (Plan *)given;
    PyObject *header = Py_TYPE(message) == plan->whole.cls ? *place(&plan->whole, message, 0) : NULL;
    if (header == NULL || Py_TYPE(header) != plan->header.cls)
        return NULL;
    PyObject *seq = *place(&plan->header, header, SEQ), *source = *place(&plan->header, header, SOURCE);
    PyObject *trace = *place(&plan->header, header, TRACE);
    uint64_t tier = 0;
    if (seq == NULL || source == NULL || trace == NULL || !PyTuple_CheckExact(trace)
        || PyTuple_GET_SIZE(trace) || !as_u64(*place(&plan->header, header, STAMP), &head->stamp)
        || !as_u64(*place(&plan->header, header, EXPIRES), &head->expires)
        || !as_u64(*place(&plan->header, header, TIER), &tier) || tier > 255)
        return NULL;
    head->tier = (uint8_t)tier;
    PyObject *call = Py_BuildValue("[OOO]", seq, source, trace);
    PyObject *fields = call != NULL ? pack_record(&plan->whole, message, 1, arrays) : NULL;
    if (fields != NULL && PyList_Append(fields, call) < 0)
        Py_CLEAR(fields);
    Py_XDECREF(call);
    return fields;
}

/* ---- a plan ---- */

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *cls, *names, *fields, *header, *header_names, *hop, *hop_names, *slow[5];
    int is_checked;
    if (!PyArg_ParseTuple(args, "OOOpOOOOOOOOO", &cls, &names, &fields, &is_checked, &header,
                          &header_names, &hop, &hop_names, &slow[0], &slow[1], &slow[2], &slow[3],
                          &slow[4]))
        return NULL;
    Plan *plan = (Plan *)type->tp_alloc(type, 0);
    if (plan == NULL)
        return NULL;
    plan->is_checked = is_checked;
    plan->slow_pack = Py_NewRef(slow[0]);
    plan->slow_unpack = Py_NewRef(slow[1]);
    plan->slow_received = Py_NewRef(slow[2]);
    plan->slow_with_header = Py_NewRef(slow[3]);
    plan->slow_published = Py_NewRef(slow[4]);
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
    clear_field(&plan->whole);
    clear_field(&plan->header);
    clear_field(&plan->hop);
    Py_XDECREF(plan->slow_pack);
    Py_XDECREF(plan->slow_unpack);
    Py_XDECREF(plan->slow_received);
    Py_XDECREF(plan->slow_with_header);
    Py_XDECREF(plan->slow_published);
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
    name_check = PyUnicode_InternFromString("__post_init__");
    return name_check != NULL ? PyType_Ready(&PlanType) : -1;
}

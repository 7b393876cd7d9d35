/* From a message to its record: of what has fields and nothing else, and of questions and answers
   with short arrays besides, or with one that lies in a slot that was lent. */

#include "arrays.h"

#define CALL 4            /* flags of a record, see bus/ipc/records.py; ARRAYS is 1 */
#define ARRAYS 1
#define SHORT 16384       /* as in bus/ipc/shelf.py */
#define ALIGNED(place) (((place) + 15) / 16 * 16)
#define MOST_ARRAYS 16

enum { DATA, SLOTS, TAKEN, NBYTES, OF_PACKED };
static const char *const of_packed[] = {"data", "slots", "taken", "nbytes"};

typedef struct {
    PyObject_HEAD
    PyObject *plan, *pack_body;
    uint32_t channel;
    Py_ssize_t most;      /* a longer body takes a slot */
    PyObject *owners;     /* the loans of the pools, by `id` of the array that owns the slot */
    PyTypeObject *loan, *packed;
    Py_ssize_t at_slot, at_packed[OF_PACKED];
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

/* Takes down `[dtype, shape, place, start]` of an array; -1 and an exception where it fails. */
static int entry_of(PyObject *entries, const Array *array, int place, Py_ssize_t start)
{
    PyObject *dtype = text_of(array), *shape = dtype != NULL ? shape_of(array) : NULL, *entry = NULL;
    if (shape != NULL)
        entry = Py_BuildValue("[OOin]", dtype, shape, place, start);
    Py_XDECREF(dtype);
    Py_XDECREF(shape);
    int done = entry != NULL ? PyList_Append(entries, entry) : -1;
    Py_XDECREF(entry);
    return done;
}

/* An array among those that go along, by `start` and `nbytes`; a reference is held. */
typedef struct {
    Array *array;
    Py_ssize_t start, nbytes;
} Piece;

/* Takes down `[dtype, shape, -1, start]` of each array, and where they end; -1 where they are for
   Python: another kind of array, one that is not contiguous, or more than goes in a packet. */
static Py_ssize_t entries_of(PyObject *arrays, PyObject *entries, Piece *pieces)
{
    Py_ssize_t end = 0, count = PyList_GET_SIZE(arrays);
    for (Py_ssize_t i = 0; i < count; i++) {
        Array *array = as_array(PyList_GET_ITEM(arrays, i));
        Py_ssize_t nbytes = array != NULL && array->flags & C_CONTIGUOUS ? nbytes_of(array) : -1;
        pieces[i] = (Piece){nbytes < 0 ? NULL : (Array *)Py_NewRef((PyObject *)array), ALIGNED(end), nbytes};
        if (nbytes < 0 || nbytes > SHORT)
            return -1;
        end = pieces[i].start + nbytes;
        if (end > SHORT || entry_of(entries, array, -1, pieces[i].start) < 0)
            return -1;
    }
    return end;
}

/* Whether an array went to its place; not if what was called meanwhile has changed it. */
static int is_copied(char *to, const Piece *piece)
{
    if (!(piece->array->flags & C_CONTIGUOUS) || nbytes_of(piece->array) != piece->nbytes)
        return 0;
    if (piece->nbytes > 0)
        memcpy(to, piece->array->data, piece->nbytes);
    return 1;
}

/* The record of a body, and of arrays of which the last one ends at `end`; NULL where it is for
   Python. */
static PyObject *joined(const Outlet *outlet, Head *head, PyObject *fields, Py_ssize_t end,
                        const Piece *pieces, Py_ssize_t count)
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
            for (Py_ssize_t i = 0; record != NULL && i < count; i++)
                if (!is_copied(at + tail + pieces[i].start, &pieces[i]))
                    Py_CLEAR(record);
        }
    }
    Py_XDECREF(body);
    return record;
}

/* The record of fields with arrays that are short; NULL where it is for Python. */
static PyObject *with_arrays(const Outlet *outlet, Head *head, PyObject *fields, PyObject *arrays)
{
    Piece pieces[MOST_ARRAYS] = {0};
    Py_ssize_t count = PyList_GET_SIZE(arrays), end = -1;
    PyObject *entries = count <= MOST_ARRAYS ? PyList_New(0) : NULL, *record = NULL;
    if (entries != NULL)
        end = entries_of(arrays, entries, pieces);
    if (end >= 0 && PyList_Append(fields, entries) == 0) {
        head->flags |= ARRAYS;
        record = joined(outlet, head, fields, end, pieces, count);
        if (record == NULL) {
            PyObject *type, *value, *trace;
            PyErr_Fetch(&type, &value, &trace);
            (void)PyList_SetSlice(fields, PyList_GET_SIZE(fields) - 1, PY_SSIZE_T_MAX, NULL);
            PyErr_Restore(type, value, trace);
        }
    }
    for (Py_ssize_t i = 0; entries != NULL && i < count; i++)
        Py_XDECREF((PyObject *)pieces[i].array);
    Py_XDECREF(entries);
    return record;
}

/* The loan that an array owns, a new reference; NULL where it owns none, maybe with an exception. */
static PyObject *loan_of(const Outlet *outlet, const Array *array)
{
    PyObject *number = PyLong_FromVoidPtr((void *)array);
    PyObject *loan = number != NULL ? PyDict_GetItemWithError(outlet->owners, number) : NULL;
    Py_XDECREF(number);
    if (loan == NULL || !Py_IS_TYPE(loan, outlet->loan))
        return NULL;
    Py_INCREF(loan);
    PyObject *owner = PyObject_CallNoArgs(loan);
    if (owner != (PyObject *)array)
        Py_CLEAR(loan);
    Py_XDECREF(owner);
    return loan;
}

/* The slot that was lent and that a contiguous array fills, as Pools.find; NULL, maybe with an
   exception, where Python is to look for it. */
static PyObject *slot_of(const Outlet *outlet, const Array *array, Py_ssize_t nbytes)
{
    PyObject *loan = loan_of(outlet, array), *slot = NULL;
    if (loan == NULL && !PyErr_Occurred()) {
        const Array *base = array->base != NULL ? as_array(array->base) : NULL;
        if (base != NULL && nbytes_of(base) == nbytes)
            loan = loan_of(outlet, base);
    }
    if (loan != NULL)
        slot = Py_XNewRef(*(PyObject **)((char *)loan + outlet->at_slot));
    Py_XDECREF(loan);
    return slot;
}

/* A `Packed` of one slot that was lent. */
static PyObject *packed_of(const Outlet *outlet, const Head *head, PyObject *body, PyObject *slot,
                           Py_ssize_t nbytes)
{
    uint64_t number = PyLong_AsUnsignedLongLong(slot);
    PyObject *made = PyErr_Occurred() ? NULL : outlet->packed->tp_alloc(outlet->packed, 0);
    PyObject *data = PyBytes_FromStringAndSize(NULL, BODY + sizeof number + head->length);
    PyObject *const fields[] = {
        data, PyTuple_Pack(1, slot), PyTuple_New(0),
        PyLong_FromSsize_t(BODY + (Py_ssize_t)sizeof number + head->length + nbytes)};
    for (int i = 0; i < OF_PACKED; i++) {
        if (fields[i] == NULL)
            Py_CLEAR(made);
        if (made != NULL)
            *(PyObject **)((char *)made + outlet->at_packed[i]) = Py_NewRef(fields[i]);
    }
    if (made != NULL) {
        char *at = PyBytes_AS_STRING(data);
        memcpy(at, head, sizeof *head);
        memcpy(at + BODY, &number, sizeof number);
        memcpy(at + BODY + sizeof number, PyBytes_AS_STRING(body), head->length);
    }
    for (int i = 0; i < OF_PACKED; i++)
        Py_XDECREF(fields[i]);
    return made;
}

/* As Packing._with_slot: the record of fields and one long array that fills a slot that was lent;
   NULL, maybe with an exception, where it is for Python. */
static PyObject *in_slot(const Outlet *outlet, Head head, PyObject *fields, PyObject *given)
{
    Array *array = as_array(given);
    Py_ssize_t nbytes = array != NULL && array->flags & C_CONTIGUOUS ? nbytes_of(array) : 0;
    if (nbytes <= SHORT)
        return NULL;
    PyObject *slot = slot_of(outlet, array, nbytes), *entries = slot != NULL ? PyList_New(0) : NULL;
    PyObject *all = NULL, *body = NULL, *made = NULL;
    if (entries != NULL && entry_of(entries, array, 0, 0) == 0)
        all = PyList_GetSlice(fields, 0, PY_SSIZE_T_MAX);
    if (all != NULL && PyList_Append(all, entries) == 0)
        body = PyObject_CallOneArg(outlet->pack_body, all);
    if (body != NULL && PyBytes_CheckExact(body) && PyBytes_GET_SIZE(body) <= outlet->most) {
        array->flags &= ~MAY_WRITE; /* whoever looks at it now relies on that */
        head.flags |= ARRAYS;
        head.slots = 1;
        head.length = (uint32_t)PyBytes_GET_SIZE(body);
        made = packed_of(outlet, &head, body, slot, nbytes);
    }
    Py_XDECREF(slot);
    Py_XDECREF(entries);
    Py_XDECREF(all);
    Py_XDECREF(body);
    return made;
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
    if (fields != NULL && PyList_GET_SIZE(arrays) == 1)
        made = in_slot(outlet, head, fields, PyList_GET_ITEM(arrays, 0));
    if (fields != NULL && made == NULL && is_for_python())
        made = PyList_GET_SIZE(arrays) ? with_arrays(outlet, &head, fields, arrays)
            : joined(outlet, &head, fields, 0, NULL, 0);
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
    PyObject *plan, *pack_body, *owners, *loan, *packed;
    unsigned int channel;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "O!OInO!O!O!", &PlanType, &plan, &pack_body, &channel, &most,
                          &PyDict_Type, &owners, &PyType_Type, &loan, &PyType_Type, &packed))
        return NULL;
    Outlet *outlet = (Outlet *)type->tp_alloc(type, 0);
    if (outlet == NULL)
        return NULL;
    outlet->plan = Py_NewRef(plan);
    outlet->pack_body = Py_NewRef(pack_body);
    outlet->channel = channel;
    outlet->most = most;
    outlet->owners = Py_NewRef(owners);
    outlet->loan = (PyTypeObject *)Py_NewRef(loan);
    outlet->packed = (PyTypeObject *)Py_NewRef(packed);
    int failed = find_offset(outlet->loan, "slot", &outlet->at_slot) < 0;
    for (int i = 0; !failed && i < OF_PACKED; i++)
        failed = find_offset(outlet->packed, of_packed[i], &outlet->at_packed[i]) < 0;
    if (failed)
        Py_CLEAR(outlet);
    return (PyObject *)outlet;
}

static void outlet_dealloc(Outlet *outlet)
{
    Py_XDECREF(outlet->plan);
    Py_XDECREF(outlet->pack_body);
    Py_XDECREF(outlet->owners);
    Py_XDECREF(outlet->loan);
    Py_XDECREF(outlet->packed);
    Py_TYPE(outlet)->tp_free(outlet);
}

static PyMethodDef outlet_methods[] = {
    {"record", (PyCFunction)(void (*)(void))outlet_record, METH_FASTCALL,
     "(message, header) -> bytes | None"},
    {"call", (PyCFunction)(void (*)(void))outlet_call, METH_FASTCALL,
     "(kind, message, number) -> bytes | Packed | (body, arrays) | None"},
    {NULL, NULL, 0, NULL},
};

PyTypeObject OutletType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "olympus.runtime.quick._quick.Outlet",
    .tp_basicsize = sizeof(Outlet),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "See make_outlet of bus/ipc/records.py: makes records of what is plain.",
    .tp_new = outlet_new,
    .tp_dealloc = (destructor)outlet_dealloc,
    .tp_methods = outlet_methods,
};

int outlet_ready(void)
{
    return PyType_Ready(&OutletType);
}

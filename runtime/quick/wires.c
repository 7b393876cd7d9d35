/* One end of the socket that carries records: sending one at once, and taking in what came.

   What a record says is not looked at here, but for the first byte of a packet; that is for those
   who are called with it. Both system calls return at once, so the interpreter's lock is kept: to
   let it go and take it again costs as much as to send. */

#include "ring.h"

#include <errno.h>
#include <sys/socket.h>

#define MOST_PACKET 65536
#define NUDGE 0xFE        /* alone, and not counted: look into the board */

static int call(PyObject *function, PyObject *const *given, size_t count)
{
    PyObject *result = PyObject_Vectorcall(function, given, count, NULL);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

static void tell_sent(Wire *wire)
{
    *(volatile uint64_t *)wire->ours.buf = wire->sent;
}

/* ---- sending ---- */

/* 1: it went, 0: it can't go now, -1: the other side is gone. */
static int sent_by_socket(const Wire *wire, const char *data, Py_ssize_t nbytes)
{
    ssize_t sent;
    do
        sent = send(wire->fd, data, nbytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0 ? 1 : errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

/* Likewise. */
static int sent_at_once(Wire *wire, const char *data, Py_ssize_t nbytes)
{
    if (wire->is_stuck || wire->fd < 0)
        return 0;
    wire->sent++;
    tell_sent(wire);
    Placed placed = placed_in_ring(wire, data, nbytes);
    if (placed == TAKEN_ON)
        return 1;
    if (placed == TO_BE_WOKEN) {
        /* Where there is no room, what is there wakes it. */
        const unsigned char nudge = NUDGE;
        return sent_by_socket(wire, (const char *)&nudge, 1) < 0 ? -1 : 1;
    }
    int went = sent_by_socket(wire, data, nbytes);
    if (went == 0) {
        wire->sent--;
        tell_sent(wire);
    }
    return went;
}

static PyObject *wire_post(Wire *wire, PyObject *record)
{
    if (!PyBytes_CheckExact(record)) {
        PyErr_Format(PyExc_TypeError, "a record is bytes, not %s", Py_TYPE(record)->tp_name);
        return NULL;
    }
    if (call(wire->acquire, NULL, 0) < 0)
        return NULL;
    int went = sent_at_once(wire, PyBytes_AS_STRING(record), PyBytes_GET_SIZE(record));
    if (call(wire->release, NULL, 0) < 0)
        return NULL;
    if (went < 0 && call(wire->note_end, NULL, 0) < 0)
        return NULL;
    return PyBool_FromLong(went);
}

/* ---- receiving ---- */

/* The next packet: above 0 its length, 0 nothing is there or all is over, -1 an exception. */
static Py_ssize_t next_packet(Wire *wire, char buffer[MOST_PACKET], int *is_over)
{
    *is_over = 0;
    for (int nudges = 0; wire->fd >= 0;) {
        ssize_t count = taken_from_ring(wire, buffer);
        /* Who sends nudges and nothing else is heard again after the others. */
        if (count > 0 || nudges >= wire->budget)
            return count;
        count = recv(wire->fd, buffer, MOST_PACKET, MSG_DONTWAIT);
        if (count == 1 && (unsigned char)buffer[0] == NUDGE) {
            nudges++;
            continue;
        }
        if (count > 0)
            return count;
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (count < 0) {
            /* Linux may tell that the other side ended before it gives what is still to be read. */
            PyObject *number = PyLong_FromLong(errno), *result = NULL;
            if (number != NULL)
                result = PyObject_CallOneArg(wire->on_error, number);
            Py_XDECREF(number);
            if (result == NULL)
                return -1;
            int goes_on = PyObject_IsTrue(result);
            Py_DECREF(result);
            if (goes_on)
                continue;
        }
        *is_over = 1;
        return 0;
    }
    return 0;
}

static int take_in(Wire *wire, const char *buffer, Py_ssize_t nbytes, int more, int budget)
{
    int taken = 1, is_many = (unsigned char)buffer[0] == wire->many;
    wire->is_single = !is_many && !more && budget == wire->budget;
    if (!is_many && wire->intake != NULL) {
        int done = take_quickly(wire->intake, buffer, nbytes, more);
        if (done != 0)
            return done;
    }
    PyObject *packet = PyBytes_FromStringAndSize(buffer, nbytes);
    if (packet == NULL)
        return -1;
    if (is_many) {
        PyObject *count = PyObject_CallOneArg(wire->on_many, packet);
        taken = count != NULL ? (int)PyLong_AsLong(count) : -1;
        Py_XDECREF(count);
        if (PyErr_Occurred())
            taken = -1;
    }
    else {
        PyObject *const given[] = {packet, more ? Py_True : Py_False};
        if (call(wire->on_record, given, 2) < 0)
            taken = -1;
    }
    Py_DECREF(packet);
    return taken;
}

static PyObject *wire_read(Wire *wire, PyObject *ignored)
{
    /* Of this call alone: before it knows that a record is for Python, what is called on the way may
       have let other threads run, which read from other wires. */
    char buffer[MOST_PACKET];
    int budget = wire->budget, is_over;
    /* Of what lies in the board the kernel does not tell a second time. */
    for (int beyond = wire->budget; budget > 0 || (is_in_ring(wire) && beyond > 0); beyond -= budget <= 0) {
        Py_ssize_t nbytes = next_packet(wire, buffer, &is_over);
        if (nbytes < 0)
            return NULL;
        if (nbytes == 0) {
            if (is_over && call(wire->close, NULL, 0) < 0)
                return NULL;
            break;
        }
        wire->received++;
        tell_received(wire);
        int more = wire->theirs.buf == NULL || is_in_ring(wire)
            || *(volatile uint64_t *)wire->theirs.buf > wire->received;
        int taken = take_in(wire, buffer, nbytes, more, budget);
        if (taken < 0)
            return NULL;
        budget -= taken > 0 ? taken : 1;
        if (!more)
            break;
    }
    if (PyDict_GET_SIZE(wire->touched) == 0)
        Py_RETURN_NONE;
    return PyObject_CallNoArgs(wire->on_batch);
}

/* ---- a wire ---- */

/* `PyBuffer_Release` leaves the address there, of memory that may be gone by then. */
static void let_go(Py_buffer *cells)
{
    PyBuffer_Release(cells);
    cells->buf = NULL;
}

static PyObject *wire_send(Wire *wire, PyObject *packet)
{
    if (!PyBytes_CheckExact(packet)) {
        PyErr_SetString(PyExc_TypeError, "a packet is bytes");
        return NULL;
    }
    int was_stuck = wire->is_stuck;
    wire->is_stuck = 0;
    int went = sent_at_once(wire, PyBytes_AS_STRING(packet), PyBytes_GET_SIZE(packet));
    wire->is_stuck = was_stuck;
    if (went < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyBool_FromLong(went);
}

static PyObject *wire_meet(Wire *wire, PyObject *cells)
{
    let_go(&wire->theirs);
    if (PyObject_GetBuffer(cells, &wire->theirs, PyBUF_SIMPLE) < 0)
        return NULL;
    if (wire->theirs.len < (Py_ssize_t)sizeof(uint64_t)) {
        let_go(&wire->theirs);
        PyErr_SetString(PyExc_ValueError, "a board has 8 bytes at least");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *wire_close(Wire *wire, PyObject *ignored)
{
    wire->fd = -1;
    wire->is_stuck = 1;
    let_go(&wire->ours);
    let_go(&wire->theirs);
    Py_RETURN_NONE;
}

static int wire_init(Wire *wire, PyObject *args, PyObject *kwargs)
{
    PyObject *ends, *cells, *lock, *intake;
    int fd, many, budget;
    if (wire->acquire != NULL || kwargs != NULL) {
        PyErr_SetString(PyExc_TypeError, "a wire is made once, by place");
        return -1;
    }
    wire->fd = -1;
    if (!PyArg_ParseTuple(args, "OiOOiiO", &ends, &fd, &cells, &lock, &many, &budget,
                          &intake))
        return -1;
    if (Py_IS_TYPE(intake, &IntakeType))
        wire->intake = Py_NewRef(intake);
    wire->many = many;
    wire->budget = budget;
    const struct { PyObject **place, *of; const char *name; } bound[] = {
        {&wire->acquire, lock, "acquire"}, {&wire->release, lock, "release"},
        {&wire->on_record, ends, "on_record"}, {&wire->on_batch, ends, "on_batch"},
        {&wire->on_many, ends, "on_many"}, {&wire->on_error, ends, "on_error"},
        {&wire->close, ends, "close"}, {&wire->note_end, ends, "note_end"},
        {&wire->touched, ends, "touched"},
    };
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++)
        if ((*bound[i].place = PyObject_GetAttrString(bound[i].of, bound[i].name)) == NULL)
            return -1;
    if (!PyDict_CheckExact(wire->touched)) {
        PyErr_SetString(PyExc_TypeError, "what is touched is kept in a dict");
        return -1;
    }
    if (PyObject_GetBuffer(cells, &wire->ours, PyBUF_WRITABLE) < 0)
        return -1;
    if (wire->ours.len < (Py_ssize_t)sizeof(uint64_t)) {
        PyErr_SetString(PyExc_ValueError, "a board has 8 bytes at least");
        return -1;
    }
    wire->fd = fd;
    return 0;
}

#define OBJECTS(act) \
    act(wire->acquire); act(wire->release); act(wire->on_record); act(wire->on_batch); \
    act(wire->on_many); act(wire->on_error); act(wire->close); act(wire->note_end); \
    act(wire->intake); act(wire->touched)

static int wire_traverse(Wire *wire, visitproc visit, void *arg)
{
    OBJECTS(Py_VISIT);
    Py_VISIT(wire->ours.obj);
    Py_VISIT(wire->theirs.obj);
    return 0;
}

static int wire_clear(Wire *wire)
{
    Py_XDECREF(wire_close(wire, NULL));
    OBJECTS(Py_CLEAR);
    return 0;
}

static void wire_dealloc(Wire *wire)
{
    PyObject_GC_UnTrack(wire);
    wire_clear(wire);
    Py_TYPE(wire)->tp_free(wire);
}

static PyMethodDef wire_methods[] = {
    {"post", (PyCFunction)wire_post, METH_O, "(record) -> bool; as Wire.post of bus/ipc/wire.py"},
    {"send", (PyCFunction)wire_send, METH_O, "(packet) -> bool; as Wire.send"},
    {"read", (PyCFunction)wire_read, METH_NOARGS, "as Wire.read"},
    {"meet", (PyCFunction)wire_meet, METH_O, "(cells); as Wire.meet"},
    {"close", (PyCFunction)wire_close, METH_NOARGS, "as Wire.close"},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef wire_members[] = {
    {"is_stuck", T_INT, offsetof(Wire, is_stuck), 0, NULL},
    {"is_single", T_INT, offsetof(Wire, is_single), READONLY, NULL},
    {"received", T_ULONGLONG, offsetof(Wire, received), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject WireType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "olympus.runtime.quick._quick.Wire",
    .tp_basicsize = sizeof(Wire),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "As Wire of bus/ipc/wire.py.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)wire_init,
    .tp_dealloc = (destructor)wire_dealloc,
    .tp_traverse = (traverseproc)wire_traverse,
    .tp_clear = (inquiry)wire_clear,
    .tp_methods = wire_methods,
    .tp_members = wire_members,
};

int wires_ready(void)
{
    return PyType_Ready(&WireType);
}

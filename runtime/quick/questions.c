/* A question or an answer that came: read, and handed to whoever takes them on in Python. */

#include "intake.h"

#define AFTER_SLOT (BODY + 8)

static PyObject *read_it(const Intake *intake, PyObject *channel, PyObject *packet, PyObject *base)
{
    PyObject *bases = base != NULL ? PyTuple_Pack(1, base) : PyTuple_New(0), *made = NULL;
    if (bases != NULL)
        made = message_in(of(channel, intake->at_channel, ASKED), packet, bases);
    Py_XDECREF(bases);
    return made;
}

/* 1, or -1 and an exception. */
static int told(const Intake *intake, PyObject *channel, PyObject *message, const Head *head)
{
    PyObject *kind = PyLong_FromLong(head->kind), *done = NULL;
    PyObject *number = PyLong_FromUnsignedLongLong(head->seq);
    if (kind != NULL && number != NULL) {
        PyObject *const given[] = {kind, number, channel, message};
        done = PyObject_Vectorcall(intake->on_call, given, 4, NULL);
    }
    Py_XDECREF(kind);
    Py_XDECREF(number);
    Py_XDECREF(done);
    return done != NULL ? 1 : -1;
}

int take_call(const Intake *intake, PyObject *channel, const char *record, Py_ssize_t nbytes,
              const Head *head, int later)
{
    if (nbytes < AFTER_SLOT || of(channel, intake->at_channel, ASKED) == Py_None)
        return 0;
    PyObject *packet = PyBytes_FromStringAndSize(record, nbytes);
    PyObject *base = packet != NULL && head->slots ? claimed(intake, record) : NULL;
    if (packet == NULL || (head->slots && base == NULL)) {
        Py_XDECREF(packet);
        return is_for_python() ? 0 : -1;
    }
    PyObject *message = read_it(intake, channel, packet, base);
    int done = message != NULL ? told(intake, channel, message, head) : PyErr_Occurred() ? -1 : 0;
    if (done == 0 && base != NULL) { /* what is claimed is given back once, when that array ends */
        PyObject *handed = PyObject_CallFunctionObjArgs(
            intake->on_claimed, packet, base, later ? Py_True : Py_False, NULL);
        done = handed != NULL ? 1 : -1;
        Py_XDECREF(handed);
    }
    Py_DECREF(packet);
    Py_XDECREF(base);
    Py_XDECREF(message);
    return done;
}

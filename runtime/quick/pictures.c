/* A record of one slot that says what the one before said: a stream of pictures. */

#include "intake.h"

#define AFTER_SLOT (BODY + 8)

/* Of Known in bus/ipc/frames.py. */
typedef enum { KNOWN_BODY, FIELDS, DTYPE, SHAPE, START, END, OF_KNOWN } OfKnown;

/* What the picture before said, where this one says the same; else NULL. */
static PyObject *same_as_known(
    const Intake *intake, PyObject *channel, const char *record, Py_ssize_t nbytes, uint32_t length)
{
    PyObject *known = of(channel, intake->at_channel, KNOWN);
    if (!PyTuple_Check(known) || PyTuple_GET_SIZE(known) != OF_KNOWN || nbytes < AFTER_SLOT)
        return NULL;
    PyObject *body = PyTuple_GET_ITEM(known, KNOWN_BODY);
    Py_ssize_t rest = nbytes - AFTER_SLOT;
    int is_same = PyBytes_CheckExact(body) && PyBytes_GET_SIZE(body) == rest && length == rest
        && memcmp(PyBytes_AS_STRING(body), record + AFTER_SLOT, rest) == 0;
    return is_same ? known : NULL;
}

/* As Frame._read_picture: NULL, without an exception, where it is for Python. */
static PyObject *pictured(
    const Intake *intake, PyObject *channel, PyObject *known, PyObject *base, const Head *head)
{
    const Py_ssize_t *at = intake->at_channel;
    PyObject *made = NULL, *arrays = NULL, *array = NULL;
    Py_ssize_t end = PyLong_AsSsize_t(PyTuple_GET_ITEM(known, END)), size = PyObject_Size(base);
    if (end > 0 && end <= size) {
        PyObject *const given[] = {PyTuple_GET_ITEM(known, SHAPE), PyTuple_GET_ITEM(known, DTYPE),
                                   base, PyTuple_GET_ITEM(known, START)};
        array = PyObject_Vectorcall(ndarray, given, 4, NULL);
    }
    if (array != NULL && (arrays = PyList_New(1)) != NULL) {
        PyList_SET_ITEM(arrays, 0, array);
        PyObject *const names[] = {of(channel, at, TYPE), of(channel, at, TOPIC), of(channel, at, SOURCE)};
        PyObject *tier = PyTuple_GET_ITEM(intake->tiers, head->tier);
        made = message_of(of(channel, at, PLAN), head, tier, PyTuple_GET_ITEM(known, FIELDS), arrays, names);
        Py_DECREF(arrays);
    }
    else
        Py_XDECREF(array);
    if (made == NULL)
        (void)is_for_python();
    return made;
}

int take_picture(const Intake *intake, PyObject *channel, PyObject *to, const char *record,
                 Py_ssize_t nbytes, const Head *head, int later)
{
    PyObject *known = same_as_known(intake, channel, record, nbytes, head->length);
    if (known == NULL)
        return 0;
    PyObject *packet = PyBytes_FromStringAndSize(record, nbytes);
    PyObject *base = packet != NULL ? claimed(intake, record) : NULL;
    if (base == NULL) {
        Py_XDECREF(packet);
        return is_for_python() ? 0 : -1;
    }
    Py_INCREF(known);
    PyObject *message = pictured(intake, channel, known, base, head);
    int done = message != NULL ? handed_on(intake, channel, to, message, head, later)
        : PyErr_Occurred() ? -1 : 0;
    if (done == 0) {
        PyObject *told = PyObject_CallFunctionObjArgs(
            intake->on_claimed, packet, base, later ? Py_True : Py_False, NULL);
        done = told != NULL ? 1 : -1;
        Py_XDECREF(told);
    }
    Py_DECREF(known);
    Py_DECREF(base);
    Py_DECREF(packet);
    Py_XDECREF(message);
    return done;
}

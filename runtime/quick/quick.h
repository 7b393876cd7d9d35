#ifndef OLYMPUS_QUICK_H
#define OLYMPUS_QUICK_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <structmember.h>

#ifdef Py_GIL_DISABLED
#error "what is here relies on the lock of the interpreter"
#endif

/* To be raised with every change here that the Python side has to know of: see __init__.py. */
#define VERSION 13

/* The head of a record, see bus/ipc/records.py. */
typedef struct {
    uint8_t kind, tier;
    uint16_t flags;
    uint32_t channel;
    uint64_t seq, stamp, expires, sent;
    uint32_t slots, length;
} Head;

#define BODY (Py_ssize_t)sizeof(Head)

_Static_assert(sizeof(Head) == 48, "a head has no gaps");

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records are little endian, and are read as they lie"
#endif

extern PyObject *ndarray; /* numpy's type; found by `arrays_ready`, which is called first */
extern PyTypeObject PlanType, WireType, IntakeType, OutletType, AskedType, MakerType, TensorsType;

/* The message of a record without arrays and its first hop; NULL, without an exception, where
   Python has to do it; so it is with all that follow. `items` are its fields, `names` its type,
   topic and source. */
PyObject *message_of(PyObject *plan, const Head *head, PyObject *tier, PyObject *items,
                     PyObject *arrays, PyObject *const names[3]);
/* Likewise that of a question or an answer, whose `call` is `[seq, source, no hops]`; NULL, maybe
   with an exception, where Python has to do it. */
PyObject *message_asked(PyObject *plan, const Head *head, PyObject *tier, PyObject *call, PyObject *items,
                        PyObject *arrays, PyObject *name);
/* The message of a question or an answer, by the `asked` of its channel; NULL where it is for Python,
   an exception then ends more than that. */
PyObject *message_in(PyObject *asked, PyObject *record, PyObject *bases);
/* Whether a plan makes messages of a class, itself. */
int makes(PyObject *plan, PyObject *cls);
/* The fields of a message but the header, whose numbers go into the head. */
PyObject *fields_of(
    PyObject *plan, PyObject *message, PyObject *header, PyObject *arrays, Head *head);
/* The fields of a question or an answer and `[seq, source, no hops]`; NULL, maybe with an exception,
   where Python has to do it. */
PyObject *fields_asked(PyObject *plan, PyObject *message, PyObject *arrays, Head *head);
/* Whether Python is to do it after all: whatever failed here, it finds again. 0, and the exception
   stays, where that ends more than what is at hand: KeyboardInterrupt, for one. */
int is_for_python(void);
int find_offset(PyTypeObject *cls, const char *name, Py_ssize_t *offset);

/* 1: taken in, 0: it is for Python, -1: an exception that is nobody's but the loop's. */
int take_quickly(PyObject *intake, const char *record, Py_ssize_t nbytes, int later);

PyObject *all_finite(PyObject *module, PyObject *array);
PyObject *events_awake(PyObject *module, PyObject *args);
int arrays_ready(void);
int asked_ready(void);
int intake_ready(void);
int makers_ready(void);
int outlet_ready(void);
int plans_ready(void);
int tensors_ready(void);
int wires_ready(void);

#endif

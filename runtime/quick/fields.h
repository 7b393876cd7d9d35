#ifndef OLYMPUS_FIELDS_H
#define OLYMPUS_FIELDS_H

#include "quick.h"

/* The same numbers are in messages/planned.py. */
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

PyObject *made_empty(const Field *record);
PyObject **place(const Field *record, PyObject *instance, Py_ssize_t index);
PyObject *pack_record(const Field *record, PyObject *value, Py_ssize_t first, PyObject *arrays);
PyObject *unpack_record(
    const Field *record, PyObject *row, Py_ssize_t first, PyObject *arrays, PyObject *where);
/* Reads `(class, names, fields)`, what `_field` of messages/planned.py makes of each. */
int read_record(Field *record, PyObject *cls, PyObject *names, PyObject *fields);
void clear_field(Field *field);

#endif

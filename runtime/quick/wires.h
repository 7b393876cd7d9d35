#ifndef OLYMPUS_WIRES_H
#define OLYMPUS_WIRES_H

#include "quick.h"

typedef struct {
    PyObject_HEAD
    int fd;               /* -1: it is closed */
    int is_stuck;         /* something waits already, and nothing may overtake it */
    int is_single;        /* no other record came together with the one that is at hand */
    int many;             /* first byte of a packet of several records */
    int budget;
    unsigned long long sent, received;
    Py_buffer ours, theirs;
    PyObject *acquire, *release, *on_record, *on_batch, *on_many, *on_error, *close, *note_end;
    PyObject *touched;    /* dict of what waits for on_batch */
    PyObject *intake;     /* takes in what is plain, or NULL */
} Wire;

#endif

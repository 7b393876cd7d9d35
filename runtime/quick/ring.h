#ifndef OLYMPUS_RING_H
#define OLYMPUS_RING_H

#include "wires.h"

typedef enum { FOR_SOCKET, TAKEN_ON, TO_BE_WOKEN } Placed;

/* Puts packet number `wire->sent` into our board, where the other side is awake and there is room;
   under the lock of the wire. */
Placed placed_in_ring(Wire *wire, const char *data, Py_ssize_t nbytes);
/* Whether the next packet lies in the other side's board. */
int is_in_ring(const Wire *wire);
/* Copies it; returns how long it is, 0 where it does not lie there. */
Py_ssize_t taken_from_ring(const Wire *wire, char *buffer);
/* Tells the other side how many packets we have taken in. */
void tell_received(const Wire *wire);
/* Tells the other side whether we look at its ring before we sleep. */
void tell_awake(const Wire *wire, int is_awake);

#endif

/* Packets that lie in a board: between two hosts that are both awake no system call is needed.

   A packet has a number, counted from 1, and lies either in the sender's board, in the berth for
   that number, or in the socket; who reads looks into the berth first. The sender takes the board
   only while the reader's board says that it is awake, which promises that it looks here once more
   before it sleeps. Both sides write first and look then, with a barrier in between, so one of them
   sees the other: either the reader finds the packet, and how many were sent, or the sender finds
   that the reader may be asleep, and wakes it through the socket.

   Nobody reads while it says that it is awake. So where a packet is put into a berth that the reader
   has just found empty, the sender wakes it before it sends the next one, and the order is kept.

   Whatever is wrong in the other side's board is its own packet, copied before anybody reads it. */

#include "ring.h"

#define BERTHS 4
#define RECEIVED 16       /* cells of a board, see bus/ipc/board.py */
#define AWAKE 24
#define FIRST 2048

typedef struct {
    uint64_t number, nbytes;
    char data[16368];
} Berth;

_Static_assert(sizeof(Berth) == 16384, "berths are where docs/wire.md says");

#define BOARD (Py_ssize_t)(FIRST * sizeof(uint64_t) + BERTHS * sizeof(Berth))

static uint64_t *cell(const Py_buffer *board, int index)
{
    return (uint64_t *)board->buf + index;
}

static Berth *berth_of(const Py_buffer *board, uint64_t number)
{
    return (Berth *)cell(board, FIRST) + number % BERTHS;
}

static int has_rings(const Wire *wire)
{
    return wire->theirs.buf != NULL && wire->ours.buf != NULL && wire->theirs.len >= BOARD
        && wire->ours.len >= BOARD;
}

Placed placed_in_ring(Wire *wire, const char *data, Py_ssize_t nbytes)
{
    Berth *berth = has_rings(wire) ? berth_of(&wire->ours, wire->sent) : NULL;
    if (berth == NULL || nbytes > (Py_ssize_t)sizeof berth->data
        || !__atomic_load_n(cell(&wire->theirs, AWAKE), __ATOMIC_RELAXED)
        || wire->sent - __atomic_load_n(cell(&wire->theirs, RECEIVED), __ATOMIC_ACQUIRE) > BERTHS)
        return FOR_SOCKET;
    memcpy(berth->data, data, nbytes);
    berth->nbytes = nbytes;
    __atomic_store_n(&berth->number, wire->sent, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(cell(&wire->theirs, AWAKE), __ATOMIC_RELAXED) ? TAKEN_ON : TO_BE_WOKEN;
}

int is_in_ring(const Wire *wire)
{
    uint64_t number = wire->received + 1;
    return has_rings(wire)
        && __atomic_load_n(&berth_of(&wire->theirs, number)->number, __ATOMIC_ACQUIRE) == number;
}

Py_ssize_t taken_from_ring(const Wire *wire, char *buffer)
{
    if (!is_in_ring(wire))
        return 0;
    const Berth *berth = berth_of(&wire->theirs, wire->received + 1);
    uint64_t nbytes = __atomic_load_n(&berth->nbytes, __ATOMIC_RELAXED); /* once: it may change */
    if (nbytes == 0 || nbytes > sizeof berth->data)
        nbytes = 1; /* no record is so short, and who reads it says so */
    memcpy(buffer, berth->data, nbytes);
    return (Py_ssize_t)nbytes;
}

void tell_received(const Wire *wire)
{
    if (has_rings(wire))
        __atomic_store_n(cell(&wire->ours, RECEIVED), wire->received, __ATOMIC_RELEASE);
}

void tell_awake(const Wire *wire, int is_awake)
{
    if (has_rings(wire))
        __atomic_store_n(cell(&wire->ours, AWAKE), (uint64_t)is_awake, __ATOMIC_RELAXED);
}

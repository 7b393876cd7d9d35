/* Waiting as PromptSelector of bus/selector.py does while it is awake: looking again and again. */

#include "ring.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>

#define MOST_EVENTS 256
#define MOST_WIRES 64
#define TURNS 32          /* so often the boards are looked at before the kernel is asked */

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void rest_a_moment(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Whether a board says that more was sent than we have taken in. */
static int is_coming(Wire *const *wires, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (*(volatile uint64_t *)wires[i]->theirs.buf > wires[i]->received)
            return 1;
    return 0;
}

/* Sleeps until something comes, `from_s` at the latest. A descriptor of epoll can be polled itself,
   and unlike its own time-outs those of ppoll are not whole milliseconds. */
static void doze(int epoll, double from_s)
{
    double left_s = from_s - now_s();
    if (!(left_s > 0))
        return;
    double whole_s = floor(fmin(left_s, 3600));
    struct timespec left = {(time_t)whole_s, (long)((fmin(left_s, 3600) - whole_s) * 1e9)};
    struct pollfd asked = {.fd = epoll, .events = POLLIN};
    (void)ppoll(&asked, 1, &left, NULL);
}

/* Adds the wires for which something lies in a board, of which the kernel knows nothing; returns how
   many events there are then. */
static int with_those_in_boards(struct epoll_event *events, int found, Wire *const *wires, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!is_in_ring(wires[i]))
            continue;
        int at = 0;
        while (at < found && events[at].data.fd != wires[i]->fd)
            at++;
        if (at < found)
            events[at].events |= EPOLLIN;
        else {
            found = at + 1;
            events[at] = (struct epoll_event){.events = EPOLLIN, .data.fd = wires[i]->fd};
        }
    }
    return found;
}

/* Without the interpreter's lock. That something was sent, a board says; the kernel is asked all the
   same, what else has come. */
static int look(int epoll, struct epoll_event *events, Wire *const *wires, Py_ssize_t count, double until_s)
{
    for (;;) {
        for (int turn = 0; turn < TURNS && !is_coming(wires, count); turn++)
            rest_a_moment();
        int found = epoll_wait(epoll, events, MOST_EVENTS, 0);
        if (found < 0 || (found = with_those_in_boards(events, found, wires, count)) > 0)
            return found;
        if (now_s() >= until_s)
            return 0;
        if (!is_coming(wires, count))
            sched_yield(); /* whoever waits for this core may be the one who is to answer */
    }
}

PyObject *events_awake(PyObject *module, PyObject *args)
{
    PyObject *given, *of;
    double until_s, from_s = 0;
    if (!PyArg_ParseTuple(args, "OO!d|d", &of, &PyList_Type, &given, &until_s, &from_s))
        return NULL;
    int epoll = PyObject_AsFileDescriptor(of);
    if (epoll < 0)
        return NULL;
    Wire *wires[MOST_WIRES];
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(given) && count < MOST_WIRES; i++) {
        PyObject *wire = PyList_GET_ITEM(given, i);
        if (Py_IS_TYPE(wire, &WireType) && ((Wire *)wire)->theirs.buf != NULL)
            wires[count++] = (Wire *)Py_NewRef(wire);
    }
    struct epoll_event events[MOST_EVENTS + MOST_WIRES];
    int found, number;
    Py_BEGIN_ALLOW_THREADS
    doze(epoll, from_s);
    for (Py_ssize_t i = 0; i < count; i++)
        tell_awake(wires[i], 1);
    found = look(epoll, events, wires, count, until_s);
    number = errno;
    for (Py_ssize_t i = 0; i < count; i++)
        tell_awake(wires[i], 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* see ring.c */
    found = with_those_in_boards(events, found, wires, count);
    Py_END_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++)
        Py_DECREF(wires[i]);
    if (found < 0 && number != EINTR) {
        errno = number;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (PyErr_CheckSignals() < 0)
        return NULL;
    PyObject *made = PyList_New(0);
    for (int i = 0; made != NULL && i < found; i++) {
        PyObject *event = Py_BuildValue("(iI)", events[i].data.fd, (unsigned int)events[i].events);
        if (event == NULL || PyList_Append(made, event) < 0)
            Py_CLEAR(made);
        Py_XDECREF(event);
    }
    return made;
}

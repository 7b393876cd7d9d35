#ifndef OLYMPUS_INTAKE_H
#define OLYMPUS_INTAKE_H

#include "quick.h"

#define ARRAYS 1          /* the flag of a record, see bus/ipc/records.py */

/* Fields of Channel, Subscription, Lent and View. */
typedef enum {
    TARGETS, PLAN, KEY, INCARNATION, TYPE, TOPIC, SOURCE, KNOWN, ASKED, OF_CHANNEL
} OfChannel;
typedef enum {
    ARRIVAL, SEEN, IS_CLOSED, IS_PROMPT, IS_LATEST, IS_BLOCKING, UNFINISHED, INBOX, NOW, METER,
    HANDLER, CLS, OF_SUBSCRIPTION
} OfSubscription;
typedef enum { BYTES, COUNT, VIEWS, OF_LENT } OfLent;
typedef enum { LENT, SLOT, OF_VIEW } OfView;

typedef struct {
    PyObject_HEAD
    PyObject *channels, *pools; /* number to Channel, and to Lent, of one pair */
    PyObject *member;     /* knows how many readers there are */
    PyObject *on_claimed; /* takes on a record whose slot is claimed */
    PyObject *on_call;    /* takes on a question or an answer that is read */
    PyObject *unpack, *tiers;
    PyTypeObject *channel, *subscription, *lent, *view;
    PyObject *let_go;     /* called when nobody looks at a slot any more */
    Py_ssize_t most_rows, at_channel[OF_CHANNEL], at_subscription[OF_SUBSCRIPTION];
    Py_ssize_t at_lent[OF_LENT], at_view[OF_VIEW];
    PyObject *nothing;    /* an empty list: the arrays of what has none */
} Intake;

static inline PyObject *of(PyObject *instance, const Py_ssize_t *offsets, int field)
{
    PyObject *found = *(PyObject **)((char *)instance + offsets[field]);
    return found != NULL ? found : Py_None;
}

/* Where a message is the next of its row: 1, it was delivered; 0, it is for Python; -1: an exception. */
int handed_on(const Intake *intake, PyObject *channel, PyObject *to, PyObject *message, const Head *head,
              int later);
/* Likewise of a record of one slot. */
int take_picture(const Intake *intake, PyObject *channel, PyObject *to, const char *record,
                 Py_ssize_t nbytes, const Head *head, int later);
/* Likewise of a question or an answer with one slot at most. */
int take_call(const Intake *intake, PyObject *channel, const char *record, Py_ssize_t nbytes,
              const Head *head, int later);
/* The bytes of the slot of a record, claimed; NULL, without an exception, where nothing was. */
PyObject *claimed(const Intake *intake, const char *record);
int slots_ready(void);

#endif

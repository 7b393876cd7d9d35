/* From a record to the handler of a subscription: what came as the next one of its row, for one
   subscription that is idle, and has fields alone or is a picture as the one before.

   All else is for Python; nothing is changed before that is known. Of what came, the head is read
   here, whose numbers are only compared or handed on; the body is read by msgpack, or is the same
   as one that was. */

#include "intake.h"

enum { ASK = 1, ANSWER = 2 }; /* kinds of a record, see bus/ipc/records.py */

static const char *const of_channel[] = {
    "targets", "plan", "key", "incarnation", "type", "topic", "source", "known", "asked"};
static const char *const of_subscription[] = {
    "_arrival", "_seen", "_is_closed", "_is_prompt", "_is_latest", "_is_blocking", "_unfinished",
    "inbox", "_now_ns", "_meter", "_handler", "cls"};

static const char *const of_lent[] = {"bytes", "count", "views"}, *const of_view[] = {"lent", "slot"};

static PyObject *name_acquire, *name_release, *name_items, *name_spill, *name_count, *name_ages;
static PyObject *name_append, *name_came, *name_failed;

/* As Inbox.is_empty. */
static int is_empty(PyObject *inbox)
{
    PyObject *items = PyObject_GetAttr(inbox, name_items);
    PyObject *spill = items != NULL ? PyObject_GetAttr(inbox, name_spill) : NULL;
    int found = spill == Py_None && PyObject_Size(items) == 0;
    Py_XDECREF(items);
    Py_XDECREF(spill);
    return found;
}

/* Whether two numbers are those of a row's last message; `row` is (incarnation, seq). */
static int is_last(PyObject *row, PyObject *incarnation, uint64_t seq)
{
    if (row == NULL || !PyTuple_CheckExact(row) || PyTuple_GET_SIZE(row) != 2)
        return 0;
    PyObject *last = PyTuple_GET_ITEM(row, 1);
    return PyObject_RichCompareBool(PyTuple_GET_ITEM(row, 0), incarnation, Py_EQ) == 1
        && PyLong_Check(last) && PyLong_AsUnsignedLongLong(last) == seq;
}

/* Under the lock of the subscription. As Subscription.arrive: 1 where it is its turn, noted. */
static int is_next(const Intake *intake, PyObject *channel, PyObject *to, uint64_t seq, int later)
{
    const Py_ssize_t *at = intake->at_subscription;
    PyObject *seen = of(to, at, SEEN), *key = of(channel, intake->at_channel, KEY);
    PyObject *incarnation = of(channel, intake->at_channel, INCARNATION);
    if ((later && of(to, at, IS_LATEST) != Py_False) || of(to, at, IS_PROMPT) != Py_True
        || of(to, at, UNFINISHED) != Py_None || of(to, at, IS_CLOSED) != Py_False
        || !PyDict_CheckExact(seen) || PyDict_GET_SIZE(seen) >= intake->most_rows
        || seq == 0 || !is_empty(of(to, at, INBOX)))
        return 0;
    if (!is_last(PyDict_GetItemWithError(seen, key), incarnation, seq - 1))
        return 0;
    PyObject *row = Py_BuildValue("(OK)", incarnation, (unsigned long long)seq);
    int noted = row != NULL ? PyDict_SetItem(seen, key, row) : -1;
    Py_XDECREF(row);
    return noted == 0;
}

/* As Subscription._deliver counts. */
static int count_it(PyObject *meter, PyObject *now_ns, uint64_t stamp)
{
    PyObject *now = PyObject_CallNoArgs(now_ns), *ages = NULL, *age = NULL, *done = NULL;
    PyObject *count = now != NULL ? PyObject_GetAttr(meter, name_count) : NULL, *more = NULL;
    if (count != NULL) {
        long long ns = PyLong_AsLongLong(now) - (long long)stamp;
        age = PyLong_FromLongLong(ns > 0 ? ns : 0);
        more = PyLong_FromLongLong(PyLong_AsLongLong(count) + 1);
        ages = PyObject_GetAttr(meter, name_ages);
    }
    if (age && more && ages && !PyErr_Occurred() && PyObject_SetAttr(meter, name_count, more) == 0)
        done = PyObject_CallMethodOneArg(ages, name_append, age);
    Py_XDECREF(now);
    Py_XDECREF(count);
    Py_XDECREF(age);
    Py_XDECREF(more);
    Py_XDECREF(ages);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

/* As Subscription._deliver; what the handler raises or returns is for the subscription. */
static int deliver(const Intake *intake, PyObject *to, PyObject *message, uint64_t stamp)
{
    const Py_ssize_t *at = intake->at_subscription;
    if (count_it(of(to, at, METER), of(to, at, NOW), stamp) < 0)
        return -1;
    PyObject *result = PyObject_CallOneArg(of(to, at, HANDLER), message);
    if (result == Py_None) {
        Py_DECREF(result);
        return 1;
    }
    PyObject *name = name_came, *told = NULL;
    if (result == NULL) {
        PyObject *type, *trace;
        PyErr_Fetch(&type, &result, &trace);
        PyErr_NormalizeException(&type, &result, &trace);
        if (trace != NULL)
            PyException_SetTraceback(result, trace);
        Py_XDECREF(type);
        Py_XDECREF(trace);
        name = name_failed;
    }
    /* As within `except`: what is told of the error may ask which one is being handled. */
    PyObject *before = PyErr_GetHandledException();
    if (name == name_failed)
        PyErr_SetHandledException(result);
    told = PyObject_CallMethodObjArgs(to, name, result, message, NULL);
    PyErr_SetHandledException(before);
    Py_XDECREF(before);
    Py_XDECREF(result);
    Py_XDECREF(told);
    return told != NULL ? 1 : -1;
}

/* The message of a record, or NULL, without an exception, where it is for Python. */
static PyObject *opened(const Intake *intake, PyObject *channel, const char *record, Py_ssize_t nbytes)
{
    Head head;
    memcpy(&head, record, sizeof head);
    const Py_ssize_t *at = intake->at_channel;
    PyObject *body = PyBytes_FromStringAndSize(record + BODY, nbytes - BODY), *made = NULL;
    PyObject *items = body != NULL ? PyObject_CallOneArg(intake->unpack, body) : NULL;
    if (items != NULL) {
        PyObject *const names[] = {of(channel, at, TYPE), of(channel, at, TOPIC), of(channel, at, SOURCE)};
        PyObject *tier = PyTuple_GET_ITEM(intake->tiers, head.tier);
        made = message_of(of(channel, at, PLAN), &head, tier, items, intake->nothing, names);
    }
    Py_XDECREF(body);
    Py_XDECREF(items);
    if (made == NULL)
        (void)is_for_python();
    return made;
}

int handed_on(const Intake *intake, PyObject *channel, PyObject *to, PyObject *message, const Head *head,
              int later)
{
    PyObject *lock = of(to, intake->at_subscription, ARRIVAL);
    PyObject *held = PyObject_CallMethodNoArgs(lock, name_acquire);
    if (held == NULL)
        return -1;
    Py_DECREF(held);
    int is_it = is_next(intake, channel, to, head->seq, later);
    PyErr_Clear();
    PyObject *freed = PyObject_CallMethodNoArgs(lock, name_release);
    if (freed == NULL)
        return -1;
    Py_DECREF(freed);
    return is_it ? deliver(intake, to, message, head->stamp) : 0;
}

/* The only subscription of a channel, where its messages may go the short way; else NULL. */
static PyObject *only_target(const Intake *intake, PyObject *channel, int later)
{
    PyObject *targets = of(channel, intake->at_channel, TARGETS);
    if (!PyList_CheckExact(targets) || PyList_GET_SIZE(targets) != 1)
        return NULL;
    PyObject *to = PyList_GET_ITEM(targets, 0);
    const Py_ssize_t *at = intake->at_subscription;
    return Py_IS_TYPE(to, intake->subscription) && of(to, at, IS_BLOCKING) == Py_False
            && !(later && of(to, at, IS_LATEST) != Py_False)
            && makes(of(channel, intake->at_channel, PLAN), of(to, at, CLS))
        ? to : NULL;
}

/* 1, 0 or -1 as for `take_quickly`. */
static int take_message(const Intake *intake, PyObject *channel, const char *record, Py_ssize_t nbytes,
                        const Head *head, int later)
{
    PyObject *to = only_target(intake, channel, later);
    if (to == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_INCREF(to);
    int done = 0;
    if (head->flags)
        done = take_picture(intake, channel, to, record, nbytes, head, later);
    else {
        PyObject *message = opened(intake, channel, record, nbytes);
        if (message != NULL)
            done = handed_on(intake, channel, to, message, head, later);
        else if (PyErr_Occurred())
            done = -1;
        Py_XDECREF(message);
    }
    Py_DECREF(to);
    return done;
}

int take_quickly(PyObject *given, const char *record, Py_ssize_t nbytes, int later)
{
    const Intake *intake = (Intake *)given;
    Head head;
    if (nbytes < BODY)
        return 0;
    memcpy(&head, record, sizeof head);
    int is_picture = head.flags == ARRAYS && head.slots == 1;
    int is_call = (head.kind == ASK || head.kind == ANSWER) && head.slots < 2;
    if (!is_call && (head.kind || head.expires || head.stamp > INT64_MAX
                     || (!is_picture && (head.flags || head.slots))
                     || head.tier >= PyTuple_GET_SIZE(intake->tiers)))
        return 0;
    PyObject *number = PyLong_FromUnsignedLong(head.channel);
    PyObject *channel = number != NULL ? PyDict_GetItemWithError(intake->channels, number) : NULL;
    Py_XDECREF(number);
    if (channel == NULL || !Py_IS_TYPE(channel, intake->channel)) {
        PyErr_Clear();
        return 0;
    }
    Py_INCREF(channel);
    int done = is_call ? take_call(intake, channel, record, nbytes, &head, later)
        : take_message(intake, channel, record, nbytes, &head, later);
    Py_DECREF(channel);
    return done;
}

static PyObject *intake_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *channels, *pools, *member, *on_claimed, *on_call, *unpack, *tiers, *channel, *subscription;
    PyObject *lent, *view, *let_go;
    Py_ssize_t most_rows;
    if (!PyArg_ParseTuple(
            args, "O!O!OOOOO!O!O!O!O!On", &PyDict_Type, &channels, &PyDict_Type, &pools, &member,
            &on_claimed, &on_call, &unpack, &PyTuple_Type, &tiers, &PyType_Type, &channel, &PyType_Type,
            &subscription, &PyType_Type, &lent, &PyType_Type, &view, &let_go, &most_rows))
        return NULL;
    Intake *intake = (Intake *)type->tp_alloc(type, 0);
    if (intake == NULL)
        return NULL;
    intake->channels = Py_NewRef(channels);
    intake->pools = Py_NewRef(pools);
    intake->member = Py_NewRef(member);
    intake->on_claimed = Py_NewRef(on_claimed);
    intake->on_call = Py_NewRef(on_call);
    intake->unpack = Py_NewRef(unpack);
    intake->tiers = Py_NewRef(tiers);
    intake->channel = (PyTypeObject *)Py_NewRef(channel);
    intake->subscription = (PyTypeObject *)Py_NewRef(subscription);
    intake->lent = (PyTypeObject *)Py_NewRef(lent);
    intake->view = (PyTypeObject *)Py_NewRef(view);
    intake->let_go = Py_NewRef(let_go);
    intake->most_rows = most_rows;
    intake->nothing = PyList_New(0);
    int failed = intake->nothing == NULL;
    for (int i = 0; !failed && i < OF_CHANNEL; i++)
        failed = find_offset(intake->channel, of_channel[i], &intake->at_channel[i]) < 0;
    for (int i = 0; !failed && i < OF_SUBSCRIPTION; i++)
        failed = find_offset(intake->subscription, of_subscription[i], &intake->at_subscription[i]) < 0;
    for (int i = 0; !failed && i < OF_LENT; i++)
        failed = find_offset(intake->lent, of_lent[i], &intake->at_lent[i]) < 0;
    for (int i = 0; !failed && i < OF_VIEW; i++)
        failed = find_offset(intake->view, of_view[i], &intake->at_view[i]) < 0;
    if (failed)
        Py_CLEAR(intake);
    return (PyObject *)intake;
}

static int intake_traverse(Intake *intake, visitproc visit, void *arg)
{
    Py_VISIT(intake->channels);
    Py_VISIT(intake->pools);
    Py_VISIT(intake->member);
    Py_VISIT(intake->on_claimed);
    Py_VISIT(intake->on_call);
    Py_VISIT(intake->unpack);
    return 0;
}

static int intake_clear(Intake *intake)
{
    Py_CLEAR(intake->channels);
    Py_CLEAR(intake->pools);
    Py_CLEAR(intake->member);
    Py_CLEAR(intake->on_claimed);
    Py_CLEAR(intake->on_call);
    Py_CLEAR(intake->unpack);
    return 0;
}

static void intake_dealloc(Intake *intake)
{
    PyObject_GC_UnTrack(intake);
    intake_clear(intake);
    Py_XDECREF(intake->tiers);
    Py_XDECREF(intake->channel);
    Py_XDECREF(intake->subscription);
    Py_XDECREF(intake->lent);
    Py_XDECREF(intake->view);
    Py_XDECREF(intake->let_go);
    Py_XDECREF(intake->nothing);
    Py_TYPE(intake)->tp_free(intake);
}

PyTypeObject IntakeType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "olympus.runtime.quick._quick.Intake",
    .tp_basicsize = sizeof(Intake),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "See make_intake of bus/ipc/intake.py.",
    .tp_new = intake_new,
    .tp_dealloc = (destructor)intake_dealloc,
    .tp_traverse = (traverseproc)intake_traverse,
    .tp_clear = (inquiry)intake_clear,
};

int intake_ready(void)
{
    struct { PyObject **place; const char *text; } const names[] = {
        {&name_acquire, "acquire"}, {&name_release, "release"}, {&name_items, "_items"},
        {&name_spill, "_spill"}, {&name_count, "count"}, {&name_ages, "ages_ns"},
        {&name_append, "append"}, {&name_came, "_came"}, {&name_failed, "_failed"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((*names[i].place = PyUnicode_InternFromString(names[i].text)) == NULL)
            return -1;
    return slots_ready() < 0 ? -1 : PyType_Ready(&IntakeType);
}

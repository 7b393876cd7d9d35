/* A slot of another host that is looked at from now on: Lent.view of bus/ipc/frames.py. */

#include "arrays.h"
#include "intake.h"

static PyObject *name_readers, *name_view;

/* How many slots of a pool may be looked at, before more are copied. */
static Py_ssize_t most_of(Py_ssize_t count, Py_ssize_t readers)
{
    Py_ssize_t share = count / (readers + 2);
    return share > 3 ? share / 2 : 1;
}

/* Has it noted when nobody looks at the bytes any more; 0, or -1 and an exception. */
static int noted(const Intake *intake, PyObject *lent, PyObject *slot, PyObject *bytes)
{
    PyObject *view = PyObject_CallFunctionObjArgs(
        (PyObject *)intake->view, bytes, intake->let_go, NULL);
    if (view == NULL)
        return -1;
    PyObject *const fields[] = {lent, slot};
    for (int i = 0; i < OF_VIEW; i++)
        Py_XSETREF(*(PyObject **)((char *)view + intake->at_view[i]), Py_NewRef(fields[i]));
    PyObject *number = PyLong_FromVoidPtr(view);
    int done = number != NULL ? PyDict_SetItem(of(lent, intake->at_lent, VIEWS), number, view) : -1;
    Py_XDECREF(number);
    Py_DECREF(view); /* where it is not noted it ends before the bytes do, and so tells nobody */
    return done;
}

/* The bytes of a slot; NULL, maybe with an exception, where Python has to see to it: there is no such
   slot, or too many are looked at. */
static PyObject *view_in(const Intake *intake, PyObject *lent, PyObject *slot, PyObject *readers)
{
    PyObject *views = of(lent, intake->at_lent, VIEWS);
    const Array *all = as_array(of(lent, intake->at_lent, BYTES));
    Py_ssize_t count = PyLong_AsSsize_t(of(lent, intake->at_lent, COUNT));
    Py_ssize_t among = PyLong_AsSsize_t(readers);
    Py_ssize_t index = (Py_ssize_t)(PyLong_AsUnsignedLongLong(slot) & 0xFFFFFFFF);
    if (all == NULL || all->base == NULL || all->axes != 1 || !PyDict_CheckExact(views) || count < 1
        || among < 0 || index >= count || PyDict_GET_SIZE(views) >= most_of(count, among))
        return NULL;
    Py_ssize_t nbytes = all->lengths[0] / count;
    /* Of the memory itself, not of `all`, which would be looked at instead of this. */
    PyObject *made = view_of(all->base, all->data + index * nbytes, all->flags & WRITEABLE, all->dtype, 1,
                             &nbytes);
    if (made != NULL && noted(intake, lent, slot, made) < 0)
        Py_CLEAR(made);
    return made;
}

PyObject *claimed(const Intake *intake, const char *record)
{
    uint64_t slot;
    memcpy(&slot, record + BODY, sizeof slot);
    PyObject *number = PyLong_FromUnsignedLongLong(slot >> 32), *made = NULL;
    PyObject *pool = number != NULL ? PyDict_GetItemWithError(intake->pools, number) : NULL;
    PyObject *readers = pool != NULL ? PyObject_GetAttr(intake->member, name_readers) : NULL;
    PyObject *which = readers != NULL ? PyLong_FromUnsignedLongLong(slot) : NULL;
    if (which != NULL && Py_IS_TYPE(pool, intake->lent))
        made = view_in(intake, pool, which, readers);
    if (which != NULL && made == NULL && is_for_python())
        made = PyObject_CallMethodObjArgs(pool, name_view, which, readers, NULL);
    Py_XDECREF(number);
    Py_XDECREF(readers);
    Py_XDECREF(which);
    if (made == NULL)
        (void)is_for_python();
    return made;
}

int slots_ready(void)
{
    name_readers = PyUnicode_InternFromString("readers");
    name_view = PyUnicode_InternFromString("view");
    return name_readers && name_view ? 0 : -1;
}

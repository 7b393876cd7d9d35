/* The module: seven types and two functions. */

#include "quick.h"

static PyMethodDef functions[] = {
    {"all_finite", all_finite, METH_O, "(array) -> bool, or None; as models/tensors.py does it"},
    {"events_awake", events_awake, METH_VARARGS,
     "(epoll, wires, until, from=0) -> events; as PromptSelector waits while it is awake"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef quick = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_quick",
    .m_doc = "What every message goes through, in C; see __init__.py.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__quick(void)
{
    if (arrays_ready() < 0 || plans_ready() < 0 || wires_ready() < 0 || intake_ready() < 0
        || outlet_ready() < 0 || asked_ready() < 0 || makers_ready() < 0 || tensors_ready() < 0)
        return NULL;
    PyObject *made = PyModule_Create(&quick);
    if (made == NULL || PyModule_AddObjectRef(made, "Plan", (PyObject *)&PlanType) < 0
        || PyModule_AddObjectRef(made, "Wire", (PyObject *)&WireType) < 0
        || PyModule_AddObjectRef(made, "Intake", (PyObject *)&IntakeType) < 0
        || PyModule_AddObjectRef(made, "Outlet", (PyObject *)&OutletType) < 0
        || PyModule_AddObjectRef(made, "Asked", (PyObject *)&AskedType) < 0
        || PyModule_AddObjectRef(made, "Maker", (PyObject *)&MakerType) < 0
        || PyModule_AddObjectRef(made, "Tensors", (PyObject *)&TensorsType) < 0)
        Py_CLEAR(made);
    if (made != NULL && PyModule_AddIntConstant(made, "VERSION", VERSION) < 0)
        Py_CLEAR(made);
    return made;
}

// The interpreter's lock (GIL), for threads that may outlive the interpreter. Python ends a thread that requests the
// lock after finalisation by unwinding its stack (pthread_exit), and C++ aborts the process when that reaches a
// destructor. Such a thread sleeps here until the process ends, as Python 3.14 does itself.
#pragma once
#include <cxxabi.h>
#include <nanobind/nanobind.h>
#include <unistd.h>

namespace mmreg::bind {

namespace nb = nanobind;

template <class Acquire>
auto sleep_after_finalisation(Acquire&& acquire) {
  try {
    return acquire();
  } catch (abi::__forced_unwind&) {
    for (;;) pause();  // leaving this handler would continue the unwinding
  }
}

class Unlocked {  // releases the GIL while it lives
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    sleep_after_finalisation([this] { PyEval_RestoreThread(state_); });
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* const state_;
};

class Locked {  // holds the GIL while it lives
 public:
  Locked() : state_(sleep_after_finalisation([] { return PyGILState_Ensure(); })) {}
  ~Locked() { PyGILState_Release(state_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  const PyGILState_STATE state_;
};

// Calls a Python function while the GIL is held; the interpreter may be finalised meanwhile.
template <class... Arguments>
nb::object call_python(const nb::object& function, const Arguments&... arguments) {
  const nb::tuple tuple = nb::make_tuple(arguments...);
  PyObject* const result = sleep_after_finalisation([&] { return PyObject_CallObject(function.ptr(), tuple.ptr()); });
  if (!result) throw nb::python_error();
  return nb::steal(result);
}

}  // namespace mmreg::bind

// The interpreter's lock (GIL), for threads that may outlive the interpreter. Python ends a thread that asks for the
// lock too late by unwinding its stack (pthread_exit), and C++ aborts the process where that meets a destructor. Such
// a thread sleeps here instead, until the process is gone; Python 3.14 does the same by itself.
#pragma once
#include <cxxabi.h>
#include <nanobind/nanobind.h>
#include <unistd.h>

namespace mmreg::bind {

namespace nb = nanobind;

template <class Ask>
auto outlived(Ask&& ask) {
  try {
    return ask();
  } catch (abi::__forced_unwind&) {
    for (;;) pause();  // to leave this handler would go on with the unwinding
  }
}

class Unlocked {  // others may use the interpreter while this lives
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    outlived([this] { PyEval_RestoreThread(state_); });
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* const state_;
};

class Locked {  // this thread may use the interpreter while this lives
 public:
  Locked() : state_(outlived([] { return PyGILState_Ensure(); })) {}
  ~Locked() { PyGILState_Release(state_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  const PyGILState_STATE state_;
};

// What `function` returns, for a thread inside Locked: the interpreter may end while it runs.
template <class... Arguments>
nb::object called(const nb::object& function, const Arguments&... arguments) {
  const nb::tuple given = nb::make_tuple(arguments...);
  PyObject* const made = outlived([&] { return PyObject_CallObject(function.ptr(), given.ptr()); });
  if (!made) throw nb::python_error();
  return nb::steal(made);
}

}  // namespace mmreg::bind

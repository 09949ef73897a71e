// What a library of CUDA operations gives to who loads it: one C function, so that it can be found by name.
#pragma once
#include "solver/operations.h"

namespace mmreg {

struct Device {
  std::size_t operations_bytes;                 // sizeof(Operations) as the library was compiled: must be the loader's
  const Operations* operations;                 // nullptr: not on this machine
  const char* reason;                           // why not, or nullptr
  Queue* (*open_on)(int device, void* stream);  // on a stream of the caller's; nullptr: one of its own
};

namespace MMREG_TARGET {

const char* why_no_device();
Queue* open_on(int device, void* stream);

}  // namespace MMREG_TARGET
}  // namespace mmreg

extern "C" __attribute__((visibility("default"))) mmreg::Device mmreg_device();

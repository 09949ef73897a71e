// Operation tables by the name of their target: tables of the CPU are part of this module, tables of a device are in a
// library beside it that is loaded on first use.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ops/context.h"
#include "ops/device.h"

namespace mmreg {

struct Place {  // where operations run
  const Operations* operations;
  std::unique_ptr<Queue> queue;

  Context context() const { return {*operations, *queue}; }
};

// target: "" (the best of this CPU), a name of `targets`, "cuda" or "cuda:N". Throws std::invalid_argument for a name
// that this CPU cannot run, DeviceError for a device that is not there.
Place open_place(const std::string& target, int threads, void* stream = nullptr);

std::vector<std::string> targets();                       // of the CPU, best first
std::string why_no_device(const std::string& target);     // "cuda", "cuda:N", "cuda_on_host": empty if it can be used
const Device* device_library(const std::string& target);  // throws DeviceError where it cannot
int device_number(const std::string& target);

}  // namespace mmreg

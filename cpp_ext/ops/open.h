// Opens operation tables by the name of their target. CPU tables are part of this module; those of a device are in a
// library beside it, loaded on first use.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ops/context.h"
#include "ops/device.h"

namespace mmreg {

struct Place {  // an operation table (not owned) and a queue of it (owned)
  const Operations* operations;
  std::unique_ptr<Queue> queue;

  Context context() const { return {*operations, *queue}; }
};

// target: "" (the best of this CPU), a name from `targets`, "cuda" or "cuda:N". threads <= 0: as many as this process
// may use. Throws std::invalid_argument for a target that this CPU cannot run, CodedError for an unusable device.
Place open_place(const std::string& target, int threads, void* stream = nullptr);

std::vector<std::string> targets();                       // targets of this CPU, best first
std::string why_no_device(const std::string& target);     // why a device cannot be used; empty if it can
const Device* device_library(const std::string& target);  // throws CodedError if it cannot be used
int device_number(const std::string& target);             // N of "cuda:N", else 0

}  // namespace mmreg

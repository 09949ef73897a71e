// Stops work on a CPU queue in the middle of an operation: when time is up, a half-finished result is worth nothing and
// is not waited for.
#pragma once
#include <functional>

#include "ops/context.h"

namespace mmreg {

struct Abandoned {};  // thrown out of an operation; its outputs hold anything

// The calling thread calls `interrupt` before each piece of work; true: the rest is skipped, and the
// operation throws Abandoned. Holds until this is destroyed, which must happen on the thread that made it. A null
// function never interrupts.
class Interruption {
 public:
  Interruption(const Context&, std::function<bool()> interrupt);
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

 private:
  Queue* queue_;  // null: a device, whose work is on a stream and cannot be interrupted
  std::function<bool()> before_;
};

}  // namespace mmreg

// Stops a CPU queue in the middle of an operation: once the deadline has passed, its result is no longer needed.
#pragma once
#include <functional>

#include "ops/context.h"

namespace mmreg {

struct Abandoned {};  // thrown by an interrupted operation, whose outputs are undefined

// While it lives, the calling thread calls `interrupt` before each piece of work. If that returns true, the remaining
// pieces are skipped and the operation throws Abandoned. A null function never interrupts. Destroy it on the same
// thread.
class Interruption {
 public:
  Interruption(const Context&, std::function<bool()> interrupt);
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

 private:
  Queue* queue_;  // nullptr for a device, whose stream cannot be interrupted
  std::function<bool()> before_;
};

}  // namespace mmreg

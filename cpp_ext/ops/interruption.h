// Work on a CPU queue that may be given up in the middle of an operation: when time is up, what the operation has made
// so far is worth nothing and is not waited for.
#pragma once
#include <functional>

#include "ops/context.h"

namespace mmreg {

struct Abandoned {};  // thrown out of an operation; its outputs hold anything

// `interrupt` is asked by the calling thread before each piece of work; true: the rest is left undone, and the
// operation throws Abandoned. Holds until this is destroyed, which must happen on the thread that made it. Null:
// nothing is asked.
class Interruption {
 public:
  Interruption(const Context&, std::function<bool()> interrupt);
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

 private:
  Queue* queue_;  // null: a device, whose work is put on a stream and cannot be given up
  std::function<bool()> before_;
};

}  // namespace mmreg

// An operation table with one of its queues: `context.warp(...)` runs the table's operation `warp` on that queue.
#pragma once
#include <utility>

#include "ops/operations.h"

namespace mmreg {

class Context {  // owns neither the table nor the queue
 public:
  Context(const Operations& operations, Queue& queue) : operations_(&operations), queue_(&queue) {}

  const Operations& operations() const { return *operations_; }
  Queue& queue() const { return *queue_; }
  bool on_device() const { return operations_->on_device; }

#define MMREG_OPERATION(result, name, parameters)                             \
  template <class... Arguments>                                               \
  result name(Arguments&&... arguments) const {                               \
    return operations_->name(*queue_, std::forward<Arguments>(arguments)...); \
  }
#include "ops/op_list.h"

 private:
  const Operations* operations_;
  Queue* queue_;
};

}  // namespace mmreg

// The queue of a CUDA table: a stream of a device and its memory. Work runs in order, so that released memory can be
// reused before the work that used it has run.
#pragma once
#include <cstddef>

#include "ops/memory_pool.h"
#include "ops/operations.h"

namespace mmreg::MMREG_TARGET {

void* take(Queue&, std::size_t bytes);
void give_back(Queue&, void* memory);

// Owns scratch memory of an operation: `Scratch<float> row(queue, count)`. Lambdas capture the pointer `row.data()`.
template <class T>
class Scratch {
 public:
  Scratch(Queue& queue, std::int64_t count)
      : queue_(queue), data_(static_cast<T*>(take(queue, sizeof(T) * std::size_t(count > 0 ? count : 1)))) {}
  ~Scratch() { give_back(queue_, data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return data_; }

 private:
  Queue& queue_;
  T* data_;
};

}  // namespace mmreg::MMREG_TARGET

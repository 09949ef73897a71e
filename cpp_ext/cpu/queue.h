// The CPU queue: a thread pool and its memory. It contains no arithmetic and is compiled once, for the baseline.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ops/operations.h"

namespace mmreg {

using Piece = void (*)(void* body, std::int64_t piece, int worker);  // runs one piece of the work

struct CpuQueue : Queue {
  // Runs piece(body, i, worker) for i in [0, pieces) and returns when all are done. Free threads take the pieces in
  // order. `worker` is in [0, workers()); the calling thread is worker 0.
  virtual void run(std::int64_t pieces, Piece piece, void* body) = 0;
  virtual int workers() const = 0;
  virtual void* take(std::size_t bytes) = 0;  // 64-byte aligned, valid until give_back
  virtual void give_back(void* memory) = 0;
  virtual void trim() = 0;       // frees cached memory
  virtual void stay_awake() {}   // idle threads sleep only after some microseconds, if the queue can
  virtual void keep_memory() {}  // caches every block until trim(), from now on, if the queue can
};

// Owns scratch memory of an operation: `Scratch<float> row(queue, count)`.
template <class T = float>
class Scratch {
 public:
  Scratch(Queue& queue, std::int64_t count)
      : queue_(static_cast<CpuQueue&>(queue)), data_(static_cast<T*>(queue_.take(sizeof(T) * std::size_t(count)))) {}
  ~Scratch() { queue_.give_back(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  operator T*() { return data_; }

 private:
  CpuQueue& queue_;
  T* data_;
};

inline int workers(Queue& queue) { return static_cast<CpuQueue&>(queue).workers(); }

// Calls body(i, worker) for i in [0, pieces). The worker selects scratch memory and must not affect results.
template <class Body>
inline void parallel_pieces(Queue& queue, std::int64_t pieces, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  static_cast<CpuQueue&>(queue).run(
      pieces, [](void* p, std::int64_t i, int worker) { (*static_cast<Plain*>(p))(i, worker); }, &body);
}

// Calls body(begin, end) over [0, count) in pieces of `grain`, which must not depend on the number of threads.
template <class Body>
inline void parallel(Queue& queue, std::int64_t count, std::int64_t grain, Body&& body) {
  parallel_pieces(queue, (count + grain - 1) / grain, [&](std::int64_t i, int) {
    const std::int64_t begin = i * grain, end = begin + grain;
    body(begin, end < count ? end : count);
  });
}

}  // namespace mmreg

// The CPU queue: a pool of sleeping threads and the memory they work on. Header and .cpp hold no arithmetic, so
// they are compiled once, for the baseline.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ops/operations.h"

namespace mmreg {

using Piece = void (*)(void* body, std::int64_t piece, int worker);  // runs one piece of the work

struct CpuQueue : Queue {
  // Runs piece(body, i, worker) for i in [0, pieces) and returns when all are done. Pieces are handed out in
  // order to whichever thread is free, `worker` in [0, workers()); the calling thread is worker 0.
  virtual void run(std::int64_t pieces, Piece piece, void* body) = 0;
  virtual int workers() const = 0;
  virtual void* take(std::size_t bytes) = 0;  // 64-byte aligned, valid until it is given back
  virtual void give_back(void* memory) = 0;
  virtual void trim() = 0;  // frees released memory that is kept for later
};

// Scratch memory of an operation, in floats by default: `Scratch<float> row(queue, count)`.
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

// body(i, worker) for i in [0, pieces). The worker says which scratch memory is free, and must not change results.
template <class Body>
inline void parallel_pieces(Queue& queue, std::int64_t pieces, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  static_cast<CpuQueue&>(queue).run(
      pieces, [](void* p, std::int64_t i, int worker) { (*static_cast<Plain*>(p))(i, worker); }, &body);
}

// body(begin, end) over [0, count) in pieces of `grain`, which must not depend on the threads.
template <class Body>
inline void parallel(Queue& queue, std::int64_t count, std::int64_t grain, Body&& body) {
  parallel_pieces(queue, (count + grain - 1) / grain, [&](std::int64_t i, int) {
    const std::int64_t begin = i * grain, end = begin + grain;
    body(begin, end < count ? end : count);
  });
}

}  // namespace mmreg

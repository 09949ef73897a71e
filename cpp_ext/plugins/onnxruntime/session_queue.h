// A CPU queue that runs on the threads of an ONNX Runtime session and starts no other threads.
#pragma once
#include <atomic>

#include "cpu/memory.h"
#include "cpu/queue.h"
#include "plugins/onnxruntime/abi.h"

namespace mmreg::onnxruntime {

struct Refused {  // exception with the error status of ONNX Runtime or of a kernel
  Status* status;
};

void check(Status*);  // throws Refused unless the status is nullptr

class SessionQueue final : public CpuQueue {
 public:
  SessionQueue(const Api* api, const KernelContext* context, int threads)
      : api_(api), context_(context), threads_(threads) {}

  void run(std::int64_t pieces, Piece piece, void* body) override {
    Work work{pieces, piece, body, {0}};
    const std::int64_t workers = pieces < threads_ ? pieces : threads_;
    if (workers > 0) check(parallel_for(api_, context_, drain, std::size_t(workers), 0, &work));
  }
  int workers() const override { return threads_; }
  void* take(std::size_t bytes) override { return pool_.take(bytes); }
  void give_back(void* memory) override { pool_.give_back(memory); }
  void trim() override { pool_.trim(); }

 private:
  struct Work {
    std::int64_t pieces;
    Piece piece;
    void* body;
    std::atomic<std::int64_t> next;
  };
  static void drain(void* shared, std::size_t worker) {
    Work& work = *static_cast<Work*>(shared);
    for (std::int64_t i; (i = work.next.fetch_add(1, std::memory_order_relaxed)) < work.pieces;)
      work.piece(work.body, i, int(worker));
  }

  const Api* api_;
  const KernelContext* context_;
  int threads_;
  MemoryPool pool_{host_heap};
};

}  // namespace mmreg::onnxruntime

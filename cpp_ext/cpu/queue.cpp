#include "cpu/queue.h"

#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "cpu/memory.h"
#include "solver/blocks.h"

namespace mmreg {
namespace {

int threads_allowed() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return int(std::thread::hardware_concurrency());
}

// Threads wait on a condition variable, never spinning: on a busy machine spinning costs more than it saves.
class Pool final : public CpuQueue {
 public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  }

  ~Pool() override {
    {
      std::lock_guard<std::mutex> hold(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void run(std::int64_t pieces, Piece piece, void* body) override {
    if (workers_.empty() || pieces <= 1) {
      for (std::int64_t i = 0; i < pieces; ++i) piece(body, i, 0);
      return;
    }
    {
      std::lock_guard<std::mutex> hold(mutex_);
      piece_ = piece, body_ = body, pieces_ = pieces;
      next_.store(0, std::memory_order_relaxed);
      ++round_;
    }
    wake_.notify_all();
    drain(pieces, piece, body, 0);
    std::unique_lock<std::mutex> hold(mutex_);
    pieces_ = 0;  // a thread that wakes only now finds nothing to do
    done_.wait(hold, [this] { return busy_ == 0; });
  }

  int workers() const override { return int(workers_.size()) + 1; }

  void* take(std::size_t bytes) override { return blocks_.take(bytes); }
  void give_back(void* memory) override { blocks_.give_back(memory); }
  void trim() override { blocks_.trim(); }

 private:
  void drain(std::int64_t pieces, Piece piece, void* body, int worker) {
    for (std::int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < pieces;) piece(body, i, worker);
  }

  void work(int worker) {
    std::unique_lock<std::mutex> hold(mutex_);
    for (std::uint64_t seen = 0;;) {
      wake_.wait(hold, [&] { return stop_ || round_ != seen; });
      if (stop_) return;
      seen = round_;
      if (pieces_ == 0) continue;
      const std::int64_t pieces = pieces_;
      const Piece piece = piece_;
      void* const body = body_;
      ++busy_;
      hold.unlock();
      drain(pieces, piece, body, worker);
      hold.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  Blocks blocks_{host_heap};
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<std::int64_t> next_{0};
  std::int64_t pieces_ = 0;
  Piece piece_ = nullptr;
  void* body_ = nullptr;
  std::uint64_t round_ = 0;
  int busy_ = 0;
  bool stop_ = false;
};

}  // namespace

Queue* open_cpu_queue(int threads) { return new Pool(threads > 0 ? threads : threads_allowed()); }

}  // namespace mmreg

#include "cpu/queue.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "cpu/memory.h"
#include "cpu/processors.h"
#include "ops/interruption.h"
#include "ops/memory_pool.h"

namespace mmreg {
namespace {

// Counts forks: a forked process has a copy of the pool without its threads.
std::atomic<int> forks{0};

void count_forks() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
  (void)registered;
}

// A thread that sleeps takes 10 to 50 us to wake up, as long as a small operation on a slice.
constexpr std::chrono::microseconds kAwake{50};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Threads wait on a condition variable. They sleep at once unless stay_awake() was called: where other programs need
// the processors, spinning costs more than it saves.
class Crew {
 public:
  // If the system grants fewer threads than requested, half of them are stopped again: near a limit of the address
  // space, the work itself needs memory.
  explicit Crew(int threads) {
    workers_.reserve(std::size_t(threads > 1 ? threads - 1 : 0));
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
    } catch (const std::exception&) {  // std::system_error, or std::bad_alloc
      stop_workers(workers_.size() / 2);
    }
  }
  ~Crew() { stop_workers(0); }

  void stay_awake() { awake_ = true; }
  bool in_own_process() const { return forks_ == forks; }
  int workers() const { return int(workers_.size()) + 1; }

  // Rethrows an exception of a piece after all threads have left their pieces.
  void run(std::int64_t pieces, Piece piece, void* body, const std::function<bool()>& interrupt) {
    {
      std::lock_guard<std::mutex> hold(mutex_);
      piece_ = piece;
      body_ = body;
      pieces_ = pieces;
      next_.store(0, std::memory_order_relaxed);
      ++round_;
    }
    wake_.notify_all();
    const bool complete = drain(pieces, piece, body, 0, interrupt);
    spin([this] { return busy_.load(std::memory_order_acquire) == 0; });
    std::unique_lock<std::mutex> hold(mutex_);
    pieces_ = 0;  // a thread that wakes late has no work
    done_.wait(hold, [this] { return busy_ == 0; });
    if (const std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
    if (!complete) throw Abandoned();
  }

 private:
  // Asks for at most kAwake whether it is ready, if the crew stays awake.
  template <class Ready>
  void spin(const Ready& ready) const {
    if (!awake_.load(std::memory_order_relaxed)) return;
    const auto end = std::chrono::steady_clock::now() + kAwake;
    do {
      for (int i = 0; i < 16; ++i) {
        if (ready()) return;
        pause();
      }
    } while (std::chrono::steady_clock::now() < end);
  }

  // Returns whether no interruption ended the work.
  bool drain(std::int64_t pieces, Piece piece, void* body, int worker, const std::function<bool()>& interrupt) {
    try {
      for (std::int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < pieces;) {
        if (interrupt && interrupt()) {
          next_.store(pieces, std::memory_order_relaxed);  // skips the remaining pieces
          return false;
        }
        piece(body, i, worker);
      }
    } catch (...) {
      next_.store(pieces, std::memory_order_relaxed);
      const std::lock_guard<std::mutex> hold(mutex_);
      if (!error_) error_ = std::current_exception();
    }
    return true;
  }

  void work(int worker) {
    std::unique_lock<std::mutex> hold(mutex_);
    for (std::uint64_t last_round = 0;;) {
      hold.unlock();
      spin([&] { return round_.load(std::memory_order_acquire) != last_round; });
      hold.lock();
      wake_.wait(hold, [&] { return worker >= most_ || round_ != last_round; });
      if (worker >= most_) return;
      last_round = round_;
      if (pieces_ == 0) continue;
      const std::int64_t pieces = pieces_;
      const Piece piece = piece_;
      void* const body = body_;
      ++busy_;
      hold.unlock();
      drain(pieces, piece, body, worker, {});
      hold.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  void stop_workers(std::size_t kept) {
    {
      std::lock_guard<std::mutex> hold(mutex_);
      most_ = int(kept) + 1;
    }
    wake_.notify_all();
    for (std::size_t i = kept; i < workers_.size(); ++i) workers_[i].join();
    workers_.resize(kept);
  }

  const int forks_ = forks;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<std::int64_t> next_{0};
  std::int64_t pieces_ = 0;
  Piece piece_ = nullptr;
  void* body_ = nullptr;
  std::exception_ptr error_;
  std::atomic<std::uint64_t> round_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> awake_{false};
  int most_ = 1 << 30;  // workers with this number or above end
};

class Pool final : public CpuQueue {
 public:
  explicit Pool(int threads) : threads_(threads), crew_(new Crew(threads)) {}
  ~Pool() override {
    if (!crew_->in_own_process()) (void)crew_.release();
  }

  void run(std::int64_t pieces, Piece piece, void* body) override {
    if (workers() > 1 && pieces > 1) return crew_->run(pieces, piece, body, interrupt);
    for (std::int64_t i = 0; i < pieces; ++i) {
      if (interrupt && interrupt()) throw Abandoned();
      piece(body, i, 0);
    }
  }

  // A forked process lacks the threads of its parent: waiting for them, or for their locks, would never end.
  int workers() const override {
    if (!crew_->in_own_process()) {
      (void)crew_.release();
      crew_.reset(new Crew(threads_));
      if (awake_) crew_->stay_awake();
    }
    return crew_->workers();
  }

  void* take(std::size_t bytes) override { return pool_.take(bytes); }
  void give_back(void* memory) override { pool_.give_back(memory); }
  void trim() override { pool_.trim(); }
  void keep_memory() override { pool_.keep_all(); }
  void stay_awake() override {
    awake_ = true;
    crew_->stay_awake();
  }

  std::function<bool()> interrupt;

 private:
  const int threads_;
  bool awake_ = false;
  mutable std::unique_ptr<Crew> crew_;
  MemoryPool pool_{host_heap};
};

}  // namespace

Queue* open_cpu_queue(int threads) {
  count_forks();
  return new Pool(threads > 0 ? threads : usable_processors());
}

Interruption::Interruption(const Context& context, std::function<bool()> interrupt)
    : queue_(context.on_device() ? nullptr : &context.queue()), before_(std::move(interrupt)) {
  if (queue_) std::swap(static_cast<Pool&>(*queue_).interrupt, before_);
}

Interruption::~Interruption() {
  if (queue_) std::swap(static_cast<Pool&>(*queue_).interrupt, before_);
}

}  // namespace mmreg

#include "cpu/queue.h"

#include <pthread.h>

#include <atomic>
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

// A process that was forked has a copy of the pool without its threads.
std::atomic<int> forks{0};

void count_forks() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
  (void)registered;
}

// Threads wait on a condition variable, never spinning: on a busy machine spinning costs more than it saves.
class Crew {
 public:
  // If the system grants fewer threads than requested, half of them are released again: at a limit of address space
  // the work itself needs room.
  explicit Crew(int threads) {
    workers_.reserve(std::size_t(threads > 1 ? threads - 1 : 0));
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
    } catch (const std::exception&) {  // std::system_error, or std::bad_alloc
      dismiss(workers_.size() / 2);
    }
  }
  ~Crew() { dismiss(0); }

  bool here() const { return forks_ == forks; }
  int workers() const { return int(workers_.size()) + 1; }

  // Throws what a piece throws, once no thread is in any of them.
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
    drain(pieces, piece, body, 0, interrupt);
    std::unique_lock<std::mutex> hold(mutex_);
    pieces_ = 0;  // a thread that wakes only now finds nothing to do
    done_.wait(hold, [this] { return busy_ == 0; });
    if (const std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
  }

 private:
  void drain(std::int64_t pieces, Piece piece, void* body, int worker, const std::function<bool()>& interrupt) {
    try {
      for (std::int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < pieces;) {
        if (interrupt && interrupt()) throw Abandoned();
        piece(body, i, worker);
      }
    } catch (...) {
      next_.store(pieces, std::memory_order_relaxed);  // the others need not go on
      const std::lock_guard<std::mutex> hold(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  void work(int worker) {
    std::unique_lock<std::mutex> hold(mutex_);
    for (std::uint64_t seen = 0;;) {
      wake_.wait(hold, [&] { return worker >= most_ || round_ != seen; });
      if (worker >= most_) return;
      seen = round_;
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

  void dismiss(std::size_t kept) {
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
  std::uint64_t round_ = 0;
  int busy_ = 0;
  int most_ = 1 << 30;  // workers from this number on leave
};

class Pool final : public CpuQueue {
 public:
  explicit Pool(int threads) : threads_(threads), crew_(new Crew(threads)) {}
  ~Pool() override {
    if (!crew_->here()) (void)crew_.release();
  }

  void run(std::int64_t pieces, Piece piece, void* body) override {
    if (workers() > 1 && pieces > 1) return crew_->run(pieces, piece, body, interrupt);
    for (std::int64_t i = 0; i < pieces; ++i) {
      if (interrupt && interrupt()) throw Abandoned();
      piece(body, i, 0);
    }
  }

  // A forked process does not have the threads of its parent: waiting for them, or for their locks, would never end.
  int workers() const override {
    if (!crew_->here()) {
      (void)crew_.release();
      crew_.reset(new Crew(threads_));
    }
    return crew_->workers();
  }

  void* take(std::size_t bytes) override { return pool_.take(bytes); }
  void give_back(void* memory) override { pool_.give_back(memory); }
  void trim() override { pool_.trim(); }

  std::function<bool()> interrupt;

 private:
  const int threads_;
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

#include "capi/engines/engine_thread.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "capi/engines/library.h"
#include "capi/guard.h"

namespace mmreg::capi {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPoll = std::chrono::milliseconds(1);

// Keeps what a hung engine uses for as long as the program runs.
void keep(std::shared_ptr<void> used) {
  static std::mutex mutex;
  static auto& kept = *new std::vector<std::shared_ptr<void>>;  // never destroyed
  const std::lock_guard<std::mutex> hold(mutex);
  kept.push_back(std::move(used));
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

struct EngineThread::Shared {
  std::vector<std::unique_ptr<BoundNetwork>> networks;
  std::mutex mutex;
  std::condition_variable changed;
  enum { idle, wanted, finished, quit } state = idle;
  BoundNetwork* wanted_network = nullptr;
  std::exception_ptr error;

  // Returns whether the run has finished.
  bool wait_a_little() {
    std::unique_lock<std::mutex> hold(mutex);
    return changed.wait_for(hold, kPoll, [this] { return state == finished; });
  }
  void change(decltype(state) to) {
    {
      const std::lock_guard<std::mutex> hold(mutex);
      state = to;
    }
    changed.notify_all();
  }
};

EngineThread::EngineThread(std::vector<std::unique_ptr<BoundNetwork>> networks, const Patience& patience)
    : patience_(patience), shared_(std::make_shared<Shared>()) {
  shared_->networks = std::move(networks);
  thread_ = std::thread(work, shared_);
}

EngineThread::~EngineThread() {
  if (hung_) return;
  shared_->change(Shared::quit);
  thread_.join();
}

BoundNetwork& EngineThread::network(int stage) const { return *shared_->networks[std::size_t(stage)]; }

void EngineThread::work(std::shared_ptr<Shared> shared) {
  for (;;) {
    {
      std::unique_lock<std::mutex> hold(shared->mutex);
      shared->changed.wait(hold, [&] { return shared->state == Shared::wanted || shared->state == Shared::quit; });
      if (shared->state == Shared::quit) return;
    }
    shared->error = nullptr;
    try {
      shared->wanted_network->run();
    } catch (...) {
      shared->error = std::current_exception();
    }
    {
      const std::lock_guard<std::mutex> hold(shared->mutex);
      if (shared->state == Shared::quit) return;  // it was left behind
      shared->state = Shared::finished;
    }
    shared->changed.notify_all();
  }
}

bool EngineThread::run(int stage, const Stop& stop) {
  const Clock::time_point start = Clock::now();
  shared_->wanted_network = &network(stage);
  shared_->wanted_network->uncancel();
  shared_->change(Shared::wanted);
  bool stopped = false, late = false;
  while (!stopped && !late && !shared_->wait_a_little()) {
    stopped = stop && stop();
    late = !stopped && seconds_since(start) > patience_.run_s;
  }
  if (stopped || late) cancel_run();
  shared_->change(Shared::idle);
  if (stopped) return false;
  if (late)
    refuse(
        "MMREG_E_ENGINE_RUN",
        "The network had not finished after %.0f ms and was cancelled. Deploy the bundle on this machine, to measure "
        "its time.",
        1e3 * patience_.run_s);
  if (shared_->error) std::rethrow_exception(shared_->error);
  return true;
}

// A cancellation that comes before the engine has begun is lost: it is repeated until the run ends.
void EngineThread::cancel_run() {
  const Clock::time_point start = Clock::now();
  do {
    shared_->wanted_network->cancel();
    if (shared_->wait_a_little()) return;
  } while (seconds_since(start) < patience_.hang_limit_s);
  leave_behind();
  refuse("MMREG_E_HUNG",
         "The engine did not return within %.0f ms after its run was cancelled. The session is dead: destroy it, and "
         "create another one or restart the program.",
         1e3 * patience_.hang_limit_s);
}

// The engine may use its memory for ever, and the thread may return to this library.
void EngineThread::leave_behind() {
  hung_ = true;
  keep_this_library();
  keep(shared_);
  shared_->change(Shared::quit);
  thread_.detach();
}

}  // namespace mmreg::capi

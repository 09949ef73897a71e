// The thread of a session that runs its networks. An engine that neither finishes nor stops is left behind on it, so
// that the calling thread returns to the host.
#pragma once
#include <memory>
#include <thread>
#include <vector>

#include "capi/engines/network.h"

namespace mmreg::capi {

struct Patience {
  double hang_limit_s;  // from the cancellation of a run until its engine counts as hung
  double run_s;         // after which a run is cancelled even without a deadline
};

class EngineThread {
 public:
  EngineThread(std::vector<std::unique_ptr<BoundNetwork>>, const Patience&);
  ~EngineThread();  // at once, if the engine hangs
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // Runs a network on its input. Returns false if `stop`, which the calling thread polls, ended the run. Throws what
  // the engine reports, and MMREG_E_HUNG if it does not return.
  bool run(int stage, const Stop& stop);
  bool hung() const { return hung_; }
  BoundNetwork& network(int stage) const;

 private:
  struct Shared;

  static void work(std::shared_ptr<Shared>);
  void cancel_run();
  void leave_behind();

  const Patience patience_;
  std::shared_ptr<Shared> shared_;  // with the thread
  std::thread thread_;
  bool hung_ = false;
};

}  // namespace mmreg::capi

// The golden pair of a deployment: images and the output that its network must give for them.
#pragma once
#include "capi/engines/engine_thread.h"

namespace mmreg::capi {

struct GoldenTest {
  double worst_mm = 0;   // deviation; for a descriptor the difference of two numbers
  double slowest_s = 0;  // of all networks, one after the other
};

struct GoldenPair {
  std::vector<float> images[2], output;  // the second image is empty for a descriptor; outputs of all networks
};

GoldenPair golden_pair(const Manifest&, const Files&);

// Runs each network on the pair. Throws MMREG_E_DEPLOYMENT_GOLDEN if the output deviates more than the limit.
GoldenTest self_test(const Manifest&, const GoldenPair&, EngineThread&, int runs);

}  // namespace mmreg::capi

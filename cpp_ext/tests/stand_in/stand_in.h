// Stand-ins for the libraries of engines: they have the functions that libmmreg uses, and a network that a test
// controls.
#pragma once
#include <atomic>

namespace mmreg::test {

struct StandIn {
  enum Behaviour { ordinary, slow, deaf, failing, not_finite };
  std::atomic<int> behaviour{ordinary};  // slow: until it is cancelled; deaf: for ever
  std::atomic<int> runs{0}, cancellations{0}, requests{0}, threads{0};
  std::atomic<int> blocks{0}, streams{0};  // of a device, that are not freed
};

// What its network gives: two channels of a field, in voxels.
inline float along_h(float fixed) { return 0.25f * fixed; }
inline float along_w(float moving) { return 0.5f * moving; }

}  // namespace mmreg::test

extern "C" mmreg::test::StandIn* mmreg_stand_in();

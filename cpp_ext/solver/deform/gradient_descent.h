// Continuous refinement on one level by composing the displacement with small smooth steps.
#pragma once
#include <functional>

#include "solver/deform/level.h"

namespace mmreg {

struct DescentResult {
  double features, information;  // at the last step: mean squared feature difference, mutual information in nats
  bool complete;                 // false if interrupted
};

// Refines u (3, d, h, w), in voxels of the level, in place. Calls interrupt(i) before iteration i; true stops after it.
DescentResult gradient_descent(const Context&, const Level&, const LevelSettings&, float* u,
                               const std::function<bool(int)>& interrupt);

}  // namespace mmreg

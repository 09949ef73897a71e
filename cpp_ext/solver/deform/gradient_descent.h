// Continuous refinement on one level: the displacement is composed with small smooth steps.
#pragma once
#include <functional>

#include "solver/deform/level.h"

namespace mmreg {

struct DescentResult {
  double features, information;  // mean squared feature difference; mutual information in nats, at the last step
  bool complete;
};

// Refines u (3, d, h, w) of the level, in its voxels, in place. Calls `interrupt(i)` before iteration i.
DescentResult gradient_descent(const Context&, const Level&, const LevelSettings&, float* u,
                               const std::function<bool(int)>& interrupt);

}  // namespace mmreg

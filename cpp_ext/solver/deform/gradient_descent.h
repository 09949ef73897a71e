// Continuous refinement on one level: the displacement is composed with small smooth steps.
#pragma once
#include "solver/deform/level.h"

namespace mmreg {

struct Refinement {
  double features, information;  // mean squared feature difference; mutual information in nats, at the last step
  bool complete;
};

// u (3, d, h, w) of the level, in its voxels, is refined in place. `interrupt(i)` is asked before iteration i.
Refinement refine(const Context&, const Level&, const LevelSettings&, float* u,
                  const std::function<bool(int)>& interrupt);

}  // namespace mmreg

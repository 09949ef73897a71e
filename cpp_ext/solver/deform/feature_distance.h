#pragma once
#include "solver/deform/deform.h"
#include "solver/deform/level.h"

namespace mmreg {

// Mean squared difference of MIND-SSC, or of the features that are given, where both images are valid; on a level.
// Of the facts only the backgrounds count.
double feature_difference(const Context&, const DeformInput&, const DeformFacts&, const Factor&);

}  // namespace mmreg

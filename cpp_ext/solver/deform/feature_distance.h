// How much the features of two images differ.
#pragma once
#include "solver/deform/level.h"

namespace mmreg {

// Mean squared difference of MIND-SSC, or of the input's own features, where both images are valid, on a level. Of the
// statistics only the backgrounds count.
double feature_distance(const Context&, const DeformInput&, const PairStatistics&, const Factor&);

}  // namespace mmreg

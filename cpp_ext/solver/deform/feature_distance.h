// Distance between the features of two images.
#pragma once
#include "solver/deform/level.h"

namespace mmreg {

// Returns the mean squared difference of MIND-SSC, or of the features of the input, where both images are valid, on a
// level. Of the statistics, only the backgrounds are used.
double feature_distance(const Context&, const DeformInput&, const PairStatistics&, const Factor&);

}  // namespace mmreg

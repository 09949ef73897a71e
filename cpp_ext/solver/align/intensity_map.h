// The tone of an image: how its intensities are spread over [0, 1] before they are put into bins.
#pragma once
#include <vector>

#include "ops/operations.h"

namespace mmreg {

// From a sample of the intensities, NaN ignored. Bins are given out as the cube root of the density, which is the
// division with the least error for a given number of bins (Panter and Dite, 1951): soft tissue keeps its contrast
// beside bone, and a large background does not use up the bins. The range leaves out padding (one value that is very
// frequent) and 0.5 % at each end. An image of one value gets low == high.
IntensityMap estimate_intensity_map(std::vector<float> sample);
IntensityMap identity_intensity_map();  // [0, 1] to itself
// Otsu's threshold (1979) between background and foreground of mapped values.
float foreground_threshold(const std::vector<float>& mapped);

}  // namespace mmreg

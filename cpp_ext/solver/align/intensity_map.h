// How the intensities of an image are spread over [0, 1] before they are put into bins.
#pragma once
#include <vector>

#include "ops/operations.h"

namespace mmreg {

// Estimates the map from a sample of the intensities; NaN is ignored. The density of bins is the cube root of the
// density of intensities, which minimises the quantisation error for a fixed number of bins (Panter and Dite, 1951):
// soft tissue keeps its contrast beside bone, and a large background does not use up the bins. The range leaves out
// padding (one very frequent value) and 0.5 % at each end. A constant image gets low == high.
IntensityMap estimate_intensity_map(std::vector<float> sample);
IntensityMap identity_intensity_map();  // [0, 1] to itself
// Otsu's threshold (1979) between background and foreground of mapped values.
float foreground_threshold(const std::vector<float>& mapped);

}  // namespace mmreg

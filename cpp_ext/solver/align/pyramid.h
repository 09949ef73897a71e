// A scan at several resolutions, with mapped intensities, finest first.
#pragma once
#include <vector>

#include "ops/buffer.h"
#include "solver/align/scan_statistics.h"

namespace mmreg {

struct PyramidLevel {
  Buffer<float> image;  // in [0, 1]; NaN where the scan is masked or unknown
  AffineMap affine;     // indices of this level to mm
};

// Builds one level for each spacing, ascending. Axes that are already as coarse are not pooled.
std::vector<PyramidLevel> build_pyramid(const Context&, const Scan&, const ScanStatistics&,
                                        const std::vector<double>& spacings_mm);

}  // namespace mmreg

// Results in the memory of the host.
#pragma once
#include "capi/guard.h"
#include "pipeline/pipeline.h"

namespace mmreg::capi {

void check_sizes(const mmreg_outputs&, Extent fixed, Extent moving);
void write(const PipelineResult&, const mmreg_outputs&, int space);
mmreg_result summary(const PipelineResult&, int space);
void map_points(const PipelineResult&, const Scan& fixed, int space, const double* points_mm, std::size_t count,
                double* mapped_mm);
void warp_labels(const Context&, const PipelineResult&, const Scan& fixed, const mmreg_image& labels, int space,
                 std::int32_t* warped, std::size_t bytes);

}  // namespace mmreg::capi

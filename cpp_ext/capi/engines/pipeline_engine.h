// The networks of a deployment as the pipeline runs them.
#pragma once
#include "capi/engines/engine_thread.h"
#include "pipeline/engine.h"

namespace mmreg::capi {

// Returns the engine for a fixed image on a grid with this affine, in RAS+ mm. `expected_s`: of each network.
// `centre_mm`: of the window in which rigid networks look. `thread` must outlive it.
Engine pipeline_engine(const Manifest&, const std::vector<double>& expected_s, const AffineMap& fixed_affine,
                       const Point& centre_mm, EngineThread& thread);

// Throws MMREG_E_DEPLOYMENT_GRID unless the deployment was made for such a fixed image, or for such a moving image.
void check_fixed_grid(const Manifest&, Extent, const AffineMap&);
void check_moving_grid(const Manifest&, Extent);

}  // namespace mmreg::capi

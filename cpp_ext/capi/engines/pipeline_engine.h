// The network of a deployment as the pipeline runs it.
#pragma once
#include "capi/engines/engine_thread.h"
#include "pipeline/engine.h"

namespace mmreg::capi {

// Returns the engine for a fixed image with this affine, in RAS+ mm. `thread` must outlive it.
Engine pipeline_engine(const Manifest&, double expected_s, const AffineMap& fixed_affine, EngineThread& thread);

// Throws MMREG_E_DEPLOYMENT_GRID unless the deployment was made for such a fixed image, or for such a moving image.
void check_fixed_grid(const Manifest&, Extent, const AffineMap&);
void check_moving_grid(const Manifest&, Extent);

}  // namespace mmreg::capi

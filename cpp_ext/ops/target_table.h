// The table of a target, filled from what its namespace defines: included once, by one file of each processor.
#pragma once
#include "ops/target_operations.h"

#define MMREG_TEXT_(x) #x
#define MMREG_TEXT(x) MMREG_TEXT_(x)

namespace mmreg::MMREG_TARGET {

extern const Operations operations;
const Operations operations = {
    MMREG_TEXT(MMREG_TARGET),
    on_device,

    open,
    allocate,
    release,
    trim,
    upload,
    download,

    warp,
    warp_half,
    warp_labels,
    warp_slope,
    warp_adjoint,
    resample_affine,
    prefilter,

    compose,
    integrate,
    invert,
    jacobian,
    folding,
    reach,

    add_affine,
    lengths,
    fill,
    combine,
    multiply,
    divide,
    select,
    summary,
    normalise,

    gaussian,
    box,
    pool,
    pool_features,
    mind,
    mind_half,
    cost_volume,
    cost_volume_half,
    smooth_cost,
    smooth_cost_half,
    coupled_convex,
    coupled_convex_half,

    local_ncc,
    joint_histogram,
    percentiles,
    condense,
    sample_points,
    sample_histogram,
    sample_gradient,
    interleave,
    attach,
    force,
    descent,
    above,
    detail,
    texture,
    active_rows,
    unfold,
    count_folds,
};

}  // namespace mmreg::MMREG_TARGET

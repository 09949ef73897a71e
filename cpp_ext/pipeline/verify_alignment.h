// Verifies the alignment by a second measure. Mutual information is counted over the whole overlap and is sometimes
// highest in a wrong place, above all with different fields of view. Self-similarity (MIND-SSC) shows whether
// structures coincide: it decides between that place and the result of a dense search from the centres.
#pragma once
#include "solver/align/align.h"

namespace mmreg {

// Returns `first`, or another alignment under which the features of the scans differ less.
Alignment verify_alignment(const Context&, const Scan& fixed, const Scan& moving, const Alignment& first, AlignKind,
                           const std::function<bool()>& time_is_up);

}  // namespace mmreg

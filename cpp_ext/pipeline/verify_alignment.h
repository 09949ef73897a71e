// A second opinion on the alignment. Mutual information counts what tissues share over the whole overlap, and is now
// and then highest in a wrong place, in scans of different fields of view above all. Self-similarity sees whether
// structures lie on each other: it decides between that place and the one where a dense search leads from the centres.
#pragma once
#include "solver/align/align.h"

namespace mmreg {

// `first`, or another alignment under which the features of the scans differ less.
Alignment verify_alignment(const Context&, const Scan& fixed, const Scan& moving, const Alignment& first, AlignKind,
                           const std::function<bool()>& time_is_up);

}  // namespace mmreg

// Looks for poses far from the usual one: a header that is lost, or a scan taken head over heels.
#pragma once
#include "solver/align/grid_search.h"

namespace mmreg {

// `count` rotations that cover all of them evenly; in a plane, given by its normal, turns of the whole circle.
std::vector<AffineMap> turns(int count, const Point* normal);

// Turns of the pose `centre`, each as it is and shifted both ways along every axis, scored.
std::vector<Candidate> search_all_turns(const AlignmentMetric&, const AffineMap& centre, double shift_mm,
                                        const Point* normal, const std::function<bool()>& stop);

}  // namespace mmreg

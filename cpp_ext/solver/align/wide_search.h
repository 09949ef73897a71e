// Searches for poses far from the usual one: for a lost header, or a scan taken upside down.
#pragma once
#include "solver/align/grid_search.h"

namespace mmreg {

// Returns `count` rotations that cover all rotations evenly; in a plane with this normal, those of the full circle.
std::vector<AffineMap> rotations(int count, const Point* normal);

// Scores rotations of the pose `centre`, each unshifted and shifted both ways along every axis.
std::vector<Candidate> search_rotations(const AlignmentMetric&, const AffineMap& centre, double shift_mm,
                                        const Point* normal, const std::function<bool()>& stop);

}  // namespace mmreg

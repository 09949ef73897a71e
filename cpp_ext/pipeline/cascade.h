// Networks that give rigid motions, one after the other: the pair is sampled anew before each of them. They see a
// window of one size, the grid of the engine; it stays where it is, and what it shows of the moving scan follows the
// transform found so far.
//
// The frame of the window has its origin in the middle; x, y, z run along axes 2, 1, 0 of the grid, in mm. A network
// gives six numbers, shifts in mm and angles in degrees: the motion D that brings what the moving image shows onto the
// fixed one, p -> Rz Ry Rx p + t. With F from the frame to mm, the map M from fixed to moving points becomes
// M F D^-1 F^-1.
#pragma once
#include "pipeline/clock.h"

namespace mmreg {

// Lets the stages run that there is time for, from `start` (fixed mm to moving mm), and notes how far they came.
AffineMap run_cascade(const Context&, const Engine&, const Scan& fixed, const Scan& moving, const AffineMap& start,
                      Clock&, NetworkRun&, CascadeRun&);

// How far apart two maps take the corner voxels of a grid, at most.
double corner_distance_mm(const Engine& window, const AffineMap& one, const AffineMap& other);

}  // namespace mmreg

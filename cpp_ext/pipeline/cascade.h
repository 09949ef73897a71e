// A cascade of networks that output rigid motions. Before each network both scans are resampled into a window, the grid
// of the engine. The window is fixed; the moving scan in it follows the transform so far.
//
// The frame of the window has its origin in the middle; x, y, z run along axes 2, 1, 0 of the grid, in mm. A network
// outputs six numbers, shifts in mm and angles in degrees: the motion D that aligns the moving image with the fixed
// one, p -> Rz Ry Rx p + t. With F from the frame to mm, the map M from fixed to moving points becomes M F D^-1 F^-1.
#pragma once
#include "pipeline/clock.h"

namespace mmreg {

// Runs the networks for which there is time, from `start` (fixed mm to moving mm), and returns the map. Sets the two
// records.
AffineMap run_cascade(const Context&, const Engine&, const Scan& fixed, const Scan& moving, const AffineMap& start,
                      Clock&, NetworkRun&, CascadeRun&);

// Returns the motion of six numbers in the frame of a window.
AffineMap motion_of(const double numbers[6]);

// Returns the largest distance between the images of a corner voxel of the window under two maps.
double corner_distance_mm(const Engine& window, const AffineMap& one, const AffineMap& other);

}  // namespace mmreg

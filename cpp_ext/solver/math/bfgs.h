// Climbs a smooth function of a few numbers: quasi-Newton steps (BFGS) with a bounded length and backtracking.
#pragma once
#include <functional>

namespace mmreg {

struct BfgsOptions {
  double first_step;  // length of the first step, and the most that any later one may be twice
  double last_step;   // a step shorter than this ends the climb
  int steps;          // at most
  std::function<bool()> stop;
};

// Value at x; the gradient too unless null.
using Objective = std::function<double(const double* x, double* gradient)>;

// Moves `x` (at most 12 numbers) uphill and returns the value there; never below where it began.
double bfgs(const Objective&, const BfgsOptions&, int count, double* x);

}  // namespace mmreg

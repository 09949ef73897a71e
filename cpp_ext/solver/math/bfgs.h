// Maximises a smooth function of a few numbers: quasi-Newton steps (BFGS) of bounded length, with backtracking.
#pragma once
#include <functional>

namespace mmreg {

struct BfgsOptions {
  double first_step;  // length of the first step; later steps are at most twice as long
  double last_step;   // the search ends with a step shorter than this
  int steps;          // at most
  std::function<bool()> stop;
};

// Returns the value at x, and sets the gradient unless it is null.
using Objective = std::function<double(const double* x, double* gradient)>;

// Moves `x` (at most 12 numbers) uphill and returns the value there, which is never below the value at the start.
double bfgs(const Objective&, const BfgsOptions&, int count, double* x);

}  // namespace mmreg

// Maximises a smooth function of a few variables by quasi-Newton steps (BFGS) of bounded length, with backtracking.
#pragma once
#include <functional>

namespace mmreg {

struct BfgsOptions {
  double first_step;  // length of the first step; later steps are at most twice as long
  double last_step;   // the search ends after a step shorter than this
  int steps;          // maximum number of steps
  std::function<bool()> stop;
};

// Returns the value at x, and sets the gradient unless it is null.
using Objective = std::function<double(const double* x, double* gradient)>;

// Maximises over `x` (at most 12 numbers) in place. Returns the final value, which is never below the initial one.
double bfgs(const Objective&, const BfgsOptions&, int count, double* x);

}  // namespace mmreg

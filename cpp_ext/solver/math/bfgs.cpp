#include "solver/math/bfgs.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

enum { most = 12 };
using Vector = double[most];

double inner(const double* a, const double* b, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

struct InverseCurvature {  // inverse Hessian of minus the function; positive definite
  double h[most][most] = {};
  bool fresh = true;

  void restart(int n, double scale) {
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) h[i][j] = i == j ? scale : 0;
    fresh = true;
  }

  void apply(const double* g, int n, double* out) const {
    for (int i = 0; i < n; ++i) out[i] = inner(h[i], g, n);
  }

  // s: step; y: decrease of the gradient over it (Nocedal and Wright, Numerical Optimization, equation 6.17).
  void update(const double* s, const double* y, int n) {
    const double sy = inner(s, y, n);
    if (sy <= 1e-6 * std::sqrt(inner(s, s, n) * inner(y, y, n))) return;
    if (fresh) {
      restart(n, sy / inner(y, y, n));
      fresh = false;
    }
    Vector hy;
    apply(y, n, hy);
    const double yhy = inner(y, hy, n);
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) h[i][j] += (1 + yhy / sy) * s[i] * s[j] / sy - (hy[i] * s[j] + s[i] * hy[j]) / sy;
  }
};

// Backtracks along `direction` until Armijo's condition holds. Returns the length of the step, or 0 if no step does.
double search_line(const Objective& objective, const BfgsOptions& options, int n, const double* x,
                   const double* direction, double slope, double here, double* reached, double* value) {
  const double norm = std::sqrt(inner(direction, direction, n));
  for (double scale = 1; scale * norm >= 0.5 * options.last_step; scale *= 0.4) {
    for (int i = 0; i < n; ++i) reached[i] = x[i] + scale * direction[i];
    *value = objective(reached, nullptr);
    if (*value > here + 1e-4 * scale * slope) return scale * norm;
    if (options.stop()) break;
  }
  return 0;
}

}  // namespace

double bfgs(const Objective& objective, const BfgsOptions& options, int n, double* x) {
  Vector gradient, direction, reached, next, step, fall;
  double here = objective(x, gradient);
  InverseCurvature curvature;
  curvature.restart(n, options.first_step / std::max(1e-300, std::sqrt(inner(gradient, gradient, n))));
  for (int k = 0; k < options.steps && !options.stop(); ++k) {
    curvature.apply(gradient, n, direction);
    const double norm = std::sqrt(inner(direction, direction, n)), limit = 2 * options.first_step;
    if (!(norm > 0)) break;
    if (norm > limit)
      for (int i = 0; i < n; ++i) direction[i] *= limit / norm;
    double value;
    const double length =
        search_line(objective, options, n, x, direction, inner(direction, gradient, n), here, reached, &value);
    if (length == 0) {
      if (curvature.fresh) break;
      curvature.restart(n, options.last_step * 4 / std::max(1e-300, std::sqrt(inner(gradient, gradient, n))));
      continue;
    }
    here = objective(reached, next);
    for (int i = 0; i < n; ++i) {
      step[i] = reached[i] - x[i];
      fall[i] = gradient[i] - next[i];
    }
    for (int i = 0; i < n; ++i) {
      x[i] = reached[i];
      gradient[i] = next[i];
    }
    curvature.update(step, fall, n);
    if (length < options.last_step) break;
  }
  return here;
}

}  // namespace mmreg

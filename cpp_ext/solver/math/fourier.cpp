#include "solver/math/fourier.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

void transpose(std::vector<float>& a, int n) {
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < y; ++x) std::swap(a[std::size_t(y) * n + x], a[std::size_t(x) * n + y]);
}

void reorder_rows(Spectrum& s) {  // into bit-reversed order
  const int n = s.side;
  for (int y = 1, j = 0; y < n; ++y) {
    int bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (y >= j) continue;
    std::swap_ranges(&s.real[std::size_t(y) * n], &s.real[std::size_t(y) * n] + n, &s.real[std::size_t(j) * n]);
    std::swap_ranges(&s.imaginary[std::size_t(y) * n], &s.imaginary[std::size_t(y) * n] + n,
                     &s.imaginary[std::size_t(j) * n]);
  }
}

void butterfly(float* ar, float* ai, float* br, float* bi, int n, float c, float d) {
  for (int x = 0; x < n; ++x) {
    const float tr = c * br[x] - d * bi[x], ti = c * bi[x] + d * br[x];
    br[x] = ar[x] - tr;
    bi[x] = ai[x] - ti;
    ar[x] += tr;
    ai[x] += ti;
  }
}

// Transforms all columns at the same time (Cooley and Tukey, 1965).
void transform_columns(Spectrum& s, double sign) {
  const int n = s.side;
  reorder_rows(s);
  for (int half = 1; half < n; half *= 2)
    for (int k = 0; k < half; ++k) {
      const double angle = sign * 3.14159265358979323846 * k / half;
      const float c = float(std::cos(angle)), d = float(std::sin(angle));
      for (int y = k; y < n; y += 2 * half) {
        const std::size_t a = std::size_t(y) * n, b = a + std::size_t(half) * n;
        butterfly(&s.real[a], &s.imaginary[a], &s.real[b], &s.imaginary[b], n, c, d);
      }
    }
}

}  // namespace

void transform(Spectrum& s, bool backwards) {
  for (int pass = 0; pass < 2; ++pass) {
    transform_columns(s, backwards ? 1 : -1);
    transpose(s.real, s.side);
    transpose(s.imaginary, s.side);
  }
}

}  // namespace mmreg

// The Fourier transform of images, compared with its definition in double precision.
#include "solver/math/fourier.h"

#include <complex>

#include "tests/arrays.h"
#include "tests/check.h"

namespace mmreg::test {
namespace {

using Complex = std::complex<double>;

constexpr int kSides[] = {1, 2, 4, 8, 32};
constexpr double kTwoPi = 6.283185307179586;
// Each of the 2 log2(n) steps rounds sums of at most n^2 numbers below 1 in float32, twiddle factors included.
constexpr double kStepError = 4 * 1.2e-7;

Spectrum random_image(int n, std::uint64_t seed) {
  Spectrum image(n);
  image.real = uniform(std::int64_t(n) * n, -1, 1, seed);
  image.imaginary = uniform(std::int64_t(n) * n, -1, 1, seed + 1);
  return image;
}

Complex at(const Spectrum& s, int y, int x) {
  const std::size_t i = std::size_t(y) * s.side + x;
  return {s.real[i], s.imaginary[i]};
}

Complex by_sum(const Spectrum& image, int v, int u, double sign) {
  Complex sum = 0;
  for (int y = 0; y < image.side; ++y)
    for (int x = 0; x < image.side; ++x)
      sum += at(image, y, x) * std::polar(1.0, sign * kTwoPi * (double(v) * y + double(u) * x) / image.side);
  return sum;
}

double tolerance(int n) { return kStepError * (1 + 2 * std::log2(n)) * n; }  // rounding errors of sums add like noise

}  // namespace

TEST(fourier, both_directions_are_the_sums_of_their_definition) {
  for (const int n : kSides)
    for (const bool backwards : {false, true}) {
      const Spectrum image = random_image(n, 7);
      Spectrum result = image;
      transform(result, backwards);
      for (int v = 0; v < n; ++v)
        for (int u = 0; u < n; ++u)
          CHECK_NEAR(std::abs(at(result, v, u) - by_sum(image, v, u, backwards ? 1 : -1)), 0, tolerance(n));
    }
}

TEST(fourier, there_and_back_multiplies_by_the_number_of_pixels) {
  for (const int n : kSides) {
    const Spectrum image = random_image(n, 3);
    Spectrum result = image;
    transform(result, false);
    transform(result, true);
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x)
        CHECK_NEAR(std::abs(at(result, y, x) / double(n * n) - at(image, y, x)), 0, 2 * tolerance(n) / n);
  }
}

TEST(fourier, a_product_of_spectra_correlates_over_all_shifts) {
  const int n = 16, dy = 5, dx = 11;
  Spectrum image = random_image(n, 11), shifted(n);
  image.imaginary.assign(image.imaginary.size(), 0);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x)
      shifted.real[std::size_t((y + dy) % n) * n + (x + dx) % n] = image.real[std::size_t(y) * n + x];
  transform(image, false);
  transform(shifted, false);
  Spectrum product(n);
  for (std::size_t i = 0; i < product.real.size(); ++i) {
    const Complex value = Complex(shifted.real[i], shifted.imaginary[i]) * Complex(image.real[i], -image.imaginary[i]);
    product.real[i] = float(value.real());
    product.imaginary[i] = float(value.imag());
  }
  transform(product, true);
  std::size_t best = 0;
  for (std::size_t i = 0; i < product.real.size(); ++i)
    if (product.real[i] > product.real[best]) best = i;
  CHECK(best == std::size_t(dy) * n + dx);
}

}  // namespace mmreg::test

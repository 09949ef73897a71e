// Fast Fourier transform of small square images in host memory, for the correlation over all shifts. It has no version
// per processor, since it takes only a few milliseconds.
#pragma once
#include <vector>

namespace mmreg {

struct Spectrum {  // or a complex image, row-major
  int side;        // a power of two
  std::vector<float> real, imaginary;

  explicit Spectrum(int n) : side(n), real(std::size_t(n) * n), imaginary(std::size_t(n) * n) {}
};

// Transforms in place, without a normalising factor.
void transform(Spectrum&, bool backwards);

}  // namespace mmreg

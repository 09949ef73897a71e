// Fast Fourier transform of small square images in host memory, for searches over all shifts at once. It is the same
// code for every processor: it takes a few milliseconds beside the operations.
#pragma once
#include <vector>

namespace mmreg {

struct Spectrum {  // or a complex image, row by row
  int side;        // a power of two
  std::vector<float> real, imaginary;

  explicit Spectrum(int n) : side(n), real(std::size_t(n) * n), imaginary(std::size_t(n) * n) {}
};

// Transforms in place, without a normalising factor.
void transform(Spectrum&, bool backwards);

}  // namespace mmreg

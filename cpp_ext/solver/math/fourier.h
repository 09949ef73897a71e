// Fast Fourier transform of small square pictures, in host memory, for searches over all shifts at once. One
// arithmetic whatever the processor: it is a few milliseconds beside the operations.
#pragma once
#include <vector>

namespace mmreg {

struct Spectrum {  // or a complex picture, row by row
  int side;        // a power of two
  std::vector<float> real, imaginary;

  explicit Spectrum(int n) : side(n), real(std::size_t(n) * n), imaginary(std::size_t(n) * n) {}
};

// In place, without a factor.
void transform(Spectrum&, bool backwards);

}  // namespace mmreg

// Arithmetic modulo p = 2^255 - 19.
#pragma once
#include <array>
#include <cstdint>

namespace mmreg::capi {

using Bytes32 = std::array<std::uint8_t, 32>;  // little-endian

// Five limbs of 51 bits. After each operation a limb is below 2^51 + 2^15.
class Residue {
 public:
  Residue(std::uint64_t value = 0) : limb_{value, 0, 0, 0, 0} {}
  static Residue from(const Bytes32&);  // without the highest bit

  Bytes32 bytes() const;  // of the number in [0, p)
  bool operator==(const Residue& other) const { return bytes() == other.bytes(); }
  bool odd() const { return bytes()[0] & 1; }

  friend Residue operator+(const Residue&, const Residue&);
  friend Residue operator-(const Residue&, const Residue&);
  friend Residue operator*(const Residue&, const Residue&);

 private:
  void carry();

  std::uint64_t limb_[5];
};

Residue power(const Residue&, const Bytes32& exponent);
Residue inverse(const Residue&);

// Returns the number 2^k - c, which the exponents of this field are.
Bytes32 power_of_two_minus(int k, unsigned c);

}  // namespace mmreg::capi

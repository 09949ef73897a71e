#include "capi/deployment/field25519.h"

namespace mmreg::capi {
namespace {

constexpr int kLimbs = 5, kBits = 51;
constexpr std::uint64_t kMask = (std::uint64_t(1) << kBits) - 1;
__extension__ using Wide = unsigned __int128;

}  // namespace

Residue Residue::from(const Bytes32& bytes) {
  Residue out;
  for (int bit = 0; bit < 255; ++bit)
    out.limb_[bit / kBits] |= std::uint64_t(bytes[std::size_t(bit / 8)] >> (bit % 8) & 1) << (bit % kBits);
  return out;
}

void Residue::carry() {
  for (int i = 0; i < kLimbs; ++i) {
    const std::uint64_t over = limb_[i] >> kBits;
    limb_[i] &= kMask;
    limb_[(i + 1) % kLimbs] += (i + 1 < kLimbs ? 1 : 19) * over;  // 2^255 = 19
  }
}

Bytes32 Residue::bytes() const {
  Residue reduced = *this;
  reduced.carry();
  reduced.carry();         // now it is below 2^255: at most p + 18
  Residue less = reduced;  // minus p: plus 19, without the bit 2^255
  less.limb_[0] += 19;
  for (int i = 0; i + 1 < kLimbs; ++i) {
    less.limb_[i + 1] += less.limb_[i] >> kBits;
    less.limb_[i] &= kMask;
  }
  const bool at_least_p = less.limb_[4] >> kBits;
  less.limb_[4] &= kMask;
  const Residue& found = at_least_p ? less : reduced;
  Bytes32 out{};
  for (int bit = 0; bit < 255; ++bit)
    out[std::size_t(bit / 8)] |= std::uint8_t((found.limb_[bit / kBits] >> (bit % kBits) & 1) << (bit % 8));
  return out;
}

Residue operator+(const Residue& a, const Residue& b) {
  Residue out;
  for (int i = 0; i < kLimbs; ++i) out.limb_[i] = a.limb_[i] + b.limb_[i];
  out.carry();
  return out;
}

Residue operator-(const Residue& a, const Residue& b) {
  Residue out;  // plus 2 p, so that no limb becomes negative
  for (int i = 0; i < kLimbs; ++i) out.limb_[i] = a.limb_[i] + 2 * (kMask - (i == 0 ? 18 : 0)) - b.limb_[i];
  out.carry();
  return out;
}

Residue operator*(const Residue& a, const Residue& b) {
  Wide sums[kLimbs] = {};
  for (int i = 0; i < kLimbs; ++i)
    for (int j = 0; j < kLimbs; ++j)
      sums[(i + j) % kLimbs] += Wide(a.limb_[i]) * b.limb_[j] * (i + j < kLimbs ? 1u : 19u);
  Residue out;
  Wide over = 0;
  for (int i = 0; i < kLimbs; ++i) {
    sums[i] += over;
    out.limb_[i] = std::uint64_t(sums[i]) & kMask;
    over = sums[i] >> kBits;
  }
  const Wide first = out.limb_[0] + 19 * over;
  out.limb_[0] = std::uint64_t(first) & kMask;
  out.limb_[1] += std::uint64_t(first >> kBits);
  return out;
}

Residue power(const Residue& base, const Bytes32& exponent) {
  Residue out(1);
  for (int bit = 255; bit >= 0; --bit) {
    out = out * out;
    if (exponent[std::size_t(bit / 8)] >> (bit % 8) & 1) out = out * base;
  }
  return out;
}

Residue inverse(const Residue& a) { return power(a, power_of_two_minus(255, 21)); }  // a^(p - 2)

Bytes32 power_of_two_minus(int k, unsigned c) {  // c < 256
  Bytes32 out{};
  for (int bit = 0; bit < k; ++bit) out[std::size_t(bit / 8)] |= std::uint8_t(1 << (bit % 8));
  out[0] = std::uint8_t(out[0] - (c - 1));  // 2^k - 1 ends in eight ones
  return out;
}

}  // namespace mmreg::capi

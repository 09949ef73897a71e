#include "capi/deployment/ed25519.h"

#include <algorithm>
#include <optional>
#include <string>

#include "capi/deployment/field25519.h"
#include "capi/deployment/sha2.h"

namespace mmreg::capi {
namespace {

const Residue& curve_d() {  // -121665 / 121666
  static const Residue d = (Residue() - Residue(121665)) * inverse(Residue(121666));
  return d;
}

// A point of -x^2 + y^2 = 1 + d x^2 y^2 in the extended coordinates of RFC 8032, 5.1.4: x = X/Z, y = Y/Z, x y = T/Z.
struct CurvePoint {
  Residue x, y, z, t;
};

const CurvePoint kNeutral{Residue(0), Residue(1), Residue(1), Residue(0)};

CurvePoint operator+(const CurvePoint& p, const CurvePoint& q) {  // also if p = q
  const Residue a = (p.y - p.x) * (q.y - q.x), b = (p.y + p.x) * (q.y + q.x);
  const Residue c = p.t * (curve_d() + curve_d()) * q.t, d = (p.z + p.z) * q.z;
  const Residue e = b - a, f = d - c, g = d + c, h = b + a;
  return {e * f, g * h, f * g, e * h};
}

CurvePoint operator*(const Bytes32& scalar, const CurvePoint& p) {
  CurvePoint out = kNeutral;
  for (int bit = 255; bit >= 0; --bit) {
    out = out + out;
    if (scalar[std::size_t(bit / 8)] >> (bit % 8) & 1) out = out + p;
  }
  return out;
}

CurvePoint negative(const CurvePoint& p) { return {Residue() - p.x, p.y, p.z, Residue() - p.t}; }

Bytes32 encoded(const CurvePoint& p) {
  const Residue scale = inverse(p.z);
  Bytes32 out = (p.y * scale).bytes();
  out[31] |= std::uint8_t((p.x * scale).odd() << 7);
  return out;
}

// RFC 8032, 5.1.3: y, and the lowest bit of x as the highest bit. Empty if it is no point, or y is not below p.
std::optional<CurvePoint> decoded(const Bytes32& bytes) {
  const Residue y = Residue::from(bytes);
  Bytes32 plain = bytes;
  plain[31] &= 0x7f;
  if (y.bytes() != plain) return {};
  const Residue u = y * y - Residue(1), v = curve_d() * y * y + Residue(1);
  const Residue v3 = v * v * v;
  Residue x = u * v3 * power(u * v3 * v3 * v, power_of_two_minus(252, 3));  // the exponent (p - 5) / 8
  if (!(v * x * x == u)) {
    if (!(v * x * x == Residue() - u)) return {};
    static const Residue root_of_minus_one = power(Residue(2), power_of_two_minus(253, 5));  // 2^((p - 1) / 4)
    x = x * root_of_minus_one;
  }
  const bool odd = bytes[31] >> 7;
  if (x == Residue() && odd) return {};
  if (x.odd() != odd) x = Residue() - x;
  return CurvePoint{x, y, Residue(1), x * y};
}

const CurvePoint& base_point() {  // y = 4 / 5, x even
  static const CurvePoint point = *decoded((Residue(4) * inverse(Residue(5))).bytes());
  return point;
}

// L = 2^252 + 27742317777372353535851937790883648493, the order of the base point.
constexpr Bytes32 kOrder = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                            0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                            0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

bool below_order(const Bytes32& a) {
  return std::lexicographical_compare(a.rbegin(), a.rend(), kOrder.rbegin(), kOrder.rend());
}

// Returns a number of 64 bytes modulo L, bit by bit: twice a number below L, plus a bit, is below 2 L + 1.
Bytes32 modulo_order(const std::array<std::uint8_t, 64>& number) {
  Bytes32 out{};
  for (int bit = 511; bit >= 0; --bit) {
    unsigned over = number[std::size_t(bit / 8)] >> (bit % 8) & 1;
    for (std::uint8_t& byte : out) {
      const unsigned twice = 2u * byte + over;
      byte = std::uint8_t(twice);
      over = twice >> 8;
    }
    if (below_order(out)) continue;
    int borrowed = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const int difference = int(out[i]) - int(kOrder[i]) - borrowed;
      out[i] = std::uint8_t(difference);
      borrowed = difference < 0;
    }
  }
  return out;
}

Bytes32 half(const std::uint8_t* from) {
  Bytes32 out;
  std::copy_n(from, out.size(), out.begin());
  return out;
}

}  // namespace

bool verify_ed25519(std::string_view message, const std::uint8_t* signature, const std::uint8_t* public_key) {
  const Bytes32 r = half(signature), s = half(signature + 32);
  const std::optional<CurvePoint> key = decoded(half(public_key));
  if (!key || !below_order(s)) return false;
  std::string hashed(r.begin(), r.end());
  hashed.append(public_key, public_key + kPublicKeyBytes).append(message);
  // s B = R + k A, as encoded points
  return encoded(s * base_point() + modulo_order(sha512(hashed)) * negative(*key)) == r;
}

}  // namespace mmreg::capi

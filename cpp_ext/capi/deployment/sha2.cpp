#include "capi/deployment/sha2.h"

#include <cstring>

// FIPS 180-4 defines both functions by one scheme, with words of 32 and of 64 bits.
namespace mmreg::capi {
namespace {

struct Sha256 {
  using Word = std::uint32_t;
  static constexpr int kRounds = 64;
  static constexpr int kBig0[3] = {2, 13, 22}, kBig1[3] = {6, 11, 25};      // rotations, section 4.1.2
  static constexpr int kSmall0[3] = {7, 18, 3}, kSmall1[3] = {17, 19, 10};  // two rotations and a shift
  static constexpr Word kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

struct Sha512 {
  using Word = std::uint64_t;
  static constexpr int kRounds = 80;
  static constexpr int kBig0[3] = {28, 34, 39}, kBig1[3] = {14, 18, 41};
  static constexpr int kSmall0[3] = {1, 8, 7}, kSmall1[3] = {19, 61, 6};
  static constexpr Word kInitial[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                       0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
};

// The first 64 bits of the fractions of the cube roots of the first 80 primes (section 4.2.3). SHA-256 uses the first
// half of the first 64 of them.
constexpr std::uint64_t kCubeRoots[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

template <class Kind>
class Hash {
  using Word = typename Kind::Word;
  static constexpr int kBits = 8 * sizeof(Word);
  static constexpr std::size_t kBlock = 16 * sizeof(Word);

 public:
  std::array<std::uint8_t, 8 * sizeof(Word)> of(std::string_view text) {
    std::memcpy(state_, Kind::kInitial, sizeof state_);
    std::size_t at = 0;
    for (; text.size() - at >= kBlock; at += kBlock) add(reinterpret_cast<const std::uint8_t*>(text.data()) + at);
    finish(text.substr(at), text.size());
    std::array<std::uint8_t, 8 * sizeof(Word)> out;
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = std::uint8_t(state_[i / sizeof(Word)] >> (kBits - 8 - 8 * int(i % sizeof(Word))));
    return out;
  }

 private:
  // The rest, a bit 1, zeros, and the number of bits (section 5.1).
  void finish(std::string_view rest, std::size_t bytes) {
    std::uint8_t last[2 * kBlock] = {};
    if (!rest.empty()) std::memcpy(last, rest.data(), rest.size());
    last[rest.size()] = 0x80;
    const std::size_t length = rest.size() + 1 + 2 * sizeof(Word) <= kBlock ? kBlock : 2 * kBlock;
    const std::uint64_t bits = 8 * std::uint64_t(bytes);
    for (int k = 0; k < 8; ++k) last[length - 1 - std::size_t(k)] = std::uint8_t(bits >> (8 * k));
    for (std::size_t at = 0; at < length; at += kBlock) add(last + at);
  }

  void add(const std::uint8_t* block) {
    Word w[Kind::kRounds];
    for (int t = 0; t < 16; ++t) {
      w[t] = 0;
      for (std::size_t k = 0; k < sizeof(Word); ++k) w[t] = Word(w[t] << 8) | block[std::size_t(t) * sizeof(Word) + k];
    }
    for (int t = 16; t < Kind::kRounds; ++t)
      w[t] = shifted(w[t - 2], Kind::kSmall1) + w[t - 7] + shifted(w[t - 15], Kind::kSmall0) + w[t - 16];
    Word v[8];
    std::memcpy(v, state_, sizeof v);
    for (int t = 0; t < Kind::kRounds; ++t) {
      const Word choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
      const Word majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
      const Word one = v[7] + rotated(v[4], Kind::kBig1) + choice + Word(kCubeRoots[t] >> (64 - kBits)) + w[t];
      const Word two = rotated(v[0], Kind::kBig0) + majority;
      for (int k = 7; k > 0; --k) v[k] = v[k - 1];
      v[4] += one;
      v[0] = one + two;
    }
    for (int k = 0; k < 8; ++k) state_[k] += v[k];
  }

  static Word right(Word x, int by) { return Word(x >> by) | Word(x << (kBits - by)); }
  static Word rotated(Word x, const int (&by)[3]) { return right(x, by[0]) ^ right(x, by[1]) ^ right(x, by[2]); }
  static Word shifted(Word x, const int (&by)[3]) { return right(x, by[0]) ^ right(x, by[1]) ^ Word(x >> by[2]); }

  Word state_[8];
};

}  // namespace

std::array<std::uint8_t, 32> sha256(std::string_view text) { return Hash<Sha256>().of(text); }
std::array<std::uint8_t, 64> sha512(std::string_view text) { return Hash<Sha512>().of(text); }

std::string hex_of_sha256(std::string_view text) {
  std::string out;
  for (const std::uint8_t byte : sha256(text)) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

}  // namespace mmreg::capi

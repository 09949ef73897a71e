// Hashes and signatures of deployments, with the published vectors.
#include <string>
#include <vector>

#include "capi/deployment/ed25519.h"
#include "capi/deployment/sha2.h"
#include "tests/check.h"

namespace mmreg::test {
namespace {

std::string bytes(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) out += char(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

const std::uint8_t* raw(const std::string& text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

struct Vector {
  std::string key, message, signature;
};

// RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc).
const std::vector<Vector>& vectors() {
  static const std::vector<Vector> all = {
      {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2"
       "46"
       "55141438e7a100b"},
      {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
       "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302ae"
       "eb"
       "00d291612bb0c00"},
      {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
       "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28"
       "dc"
       "027beceea1ec40a"},
      {"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
       "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80"
       "e2"
       "a9ac94fa54ca49f",
       "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17"
       "ad"
       "9bef1177331a704"},
  };
  return all;
}

}  // namespace

TEST(signature, sha256_agrees_with_the_standard) {
  CHECK(capi::hex_of_sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(capi::hex_of_sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(capi::hex_of_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(capi::hex_of_sha256(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(signature, sha512_agrees_with_the_standard) {
  const auto hash = capi::sha512("abc");
  CHECK(std::string(hash.begin(), hash.end()) ==
        bytes("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423"
              "643ce80e2a9ac94fa54ca49f"));
}

TEST(signature, lengths_around_a_block_are_padded_rightly) {
  // Each differs from the others: padding neither drops nor merges bytes.
  std::vector<std::string> seen;
  for (std::size_t n = 50; n < 140; ++n) {
    seen.push_back(capi::hex_of_sha256(std::string(n, '\0')));
    for (std::size_t k = 0; k + 1 < seen.size(); ++k) CHECK(seen[k] != seen.back());
  }
  CHECK(seen[64 - 50] == "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");  // of 64 zeros
}

TEST(signature, the_published_signatures_are_right) {
  for (const Vector& v : vectors())
    CHECK(capi::verify_ed25519(bytes(v.message), raw(bytes(v.signature)), raw(bytes(v.key))));
}

TEST(signature, a_changed_bit_anywhere_is_refused) {
  for (const Vector& v : vectors()) {
    const std::string message = bytes(v.message), signature = bytes(v.signature), key = bytes(v.key);
    for (std::size_t bit = 0; bit < 8 * 64; bit += 7) {
      std::string other = signature;
      other[bit / 8] = char(other[bit / 8] ^ (1 << bit % 8));
      CHECK(!capi::verify_ed25519(message, raw(other), raw(key)));
    }
    for (std::size_t bit = 0; bit < 8 * 32; bit += 5) {
      std::string other = key;
      other[bit / 8] = char(other[bit / 8] ^ (1 << bit % 8));
      CHECK(!capi::verify_ed25519(message, raw(signature), raw(other)));
    }
    CHECK(!capi::verify_ed25519(message + "x", raw(signature), raw(key)));
  }
}

TEST(signature, a_scalar_that_is_not_reduced_is_refused) {
  // s + L passes the equation, and would be a second signature of the same message.
  const std::string order = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  const Vector& v = vectors()[1];
  std::string signature = bytes(v.signature);
  int carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    const int sum = int(std::uint8_t(signature[32 + i])) + int(std::uint8_t(order[i])) + carry;
    signature[32 + i] = char(sum);
    carry = sum >> 8;
  }
  CHECK(carry == 0);
  CHECK(!capi::verify_ed25519(bytes(v.message), raw(signature), raw(bytes(v.key))));
}

TEST(signature, a_key_that_is_no_point_is_refused) {
  const Vector& v = vectors()[0];
  for (const char* key : {"0200000000000000000000000000000000000000000000000000000000000000",   // on no curve
                          "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",   // y = p + 1
                          "0100000000000000000000000000000000000000000000000000000000000080"})  // x = 0, odd
    CHECK(!capi::verify_ed25519("", raw(bytes(v.signature)), raw(bytes(key))));
}

}  // namespace mmreg::test

// Signatures of Ed25519 (RFC 8032).
#pragma once
#include <cstdint>
#include <string_view>

namespace mmreg::capi {

constexpr std::size_t kSignatureBytes = 64, kPublicKeyBytes = 32;

// Returns whether `signature` of 64 bytes is one of `message` by the private key of `public_key`, 32 bytes. It handles
// no secrets, so its time may depend on them.
bool verify_ed25519(std::string_view message, const std::uint8_t* signature, const std::uint8_t* public_key);

}  // namespace mmreg::capi

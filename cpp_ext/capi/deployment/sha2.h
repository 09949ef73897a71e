// SHA-256 and SHA-512 of FIPS 180-4.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace mmreg::capi {

std::array<std::uint8_t, 32> sha256(std::string_view);
std::array<std::uint8_t, 64> sha512(std::string_view);
std::string hex_of_sha256(std::string_view);

}  // namespace mmreg::capi

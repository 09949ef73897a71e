// An error with a code of errors.py: what a device reports, thrown by operation tables whose memory is not the host's,
// and what a network gives that cannot be used.
#pragma once
#include <stdexcept>
#include <string>

namespace mmreg {

struct DeviceError : std::runtime_error {
  DeviceError(const char* stable_code, const std::string& message) : std::runtime_error(message), code(stable_code) {}
  const char* code;  // as in errors.py
};

}  // namespace mmreg

// Error with a stable code of errors.py. Thrown by device operations and for invalid outputs of a network.
#pragma once
#include <stdexcept>
#include <string>

namespace mmreg {

struct DeviceError : std::runtime_error {
  DeviceError(const char* stable_code, const std::string& message) : std::runtime_error(message), code(stable_code) {}
  const char* code;  // as in errors.py
};

}  // namespace mmreg

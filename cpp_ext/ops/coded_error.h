// Error with a stable code of errors.py. Thrown by device operations, for invalid outputs of a network, and by the C
// library.
#pragma once
#include <stdexcept>
#include <string>

namespace mmreg {

struct CodedError : std::runtime_error {
  CodedError(const char* stable_code, const std::string& message) : std::runtime_error(message), code(stable_code) {}
  const char* code;  // as in errors.py
};

}  // namespace mmreg

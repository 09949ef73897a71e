// The border of the C library: exceptions become a status, with the code and the text of the last error of the thread.
#pragma once
#include <cstdint>
#include <string>

#include "mmreg.h"
#include "ops/coded_error.h"

namespace mmreg::capi {

// Throws a CodedError whose text is formatted as by printf.
[[noreturn]] __attribute__((format(printf, 2, 3))) void refuse(const char* code, const char* format, ...);

mmreg_status status_of_exception() noexcept;  // of the exception that is handled now, whose text it keeps
void forget_error() noexcept;
const char* last_code() noexcept;
const char* last_text() noexcept;

template <class Body>
mmreg_status guard(const Body& body) noexcept {
  forget_error();
  try {
    return body();
  } catch (...) {
    return status_of_exception();
  }
}

// Throws unless the caller's structure has at least its first field and a plausible size.
void check_struct_size(std::uint32_t size, const char* name);
void check_not_null(const void* pointer, const char* name);

// Returns a copy of the caller's structure, whose later fields are 0 if it comes from an older header.
template <class Struct>
Struct copied(const Struct* from, const char* name) {
  check_not_null(from, name);
  check_struct_size(from->struct_size, name);
  Struct out{};
  __builtin_memcpy(&out, from, from->struct_size < sizeof out ? from->struct_size : sizeof out);
  return out;
}

// Fills the caller's structure, of any version.
template <class Struct>
void fill(Struct* to, Struct from) {
  from.struct_size = to->struct_size;
  __builtin_memcpy(to, &from, to->struct_size < sizeof from ? to->struct_size : sizeof from);
}

}  // namespace mmreg::capi

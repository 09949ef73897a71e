#include "capi/guard.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

namespace mmreg::capi {
namespace {

constexpr std::uint32_t kLargestStruct = 1 << 12;  // bytes: more is not a size

struct Entry {
  const char* code;
  mmreg_status status;
};

constexpr Entry kCodes[] = {
#include "capi/codes.inc"
};

struct Text {
  char code[64], text[1024];
};
thread_local Text last{};

mmreg_status status_of(const char* code) {
  for (const Entry& entry : kCodes)
    if (std::strcmp(entry.code, code) == 0) return entry.status;
  return MMREG_INTERNAL_ERROR;
}

mmreg_status failed(const char* code, const char* text) {
  std::snprintf(last.code, sizeof last.code, "%s", code);
  std::snprintf(last.text, sizeof last.text, "%s", text);
  return status_of(code);
}

}  // namespace

void refuse(const char* code, const char* format, ...) {
  char text[sizeof Text::text];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  throw CodedError(code, text);
}

mmreg_status status_of_exception() noexcept {
  try {
    throw;
  } catch (const CodedError& error) {
    return failed(error.code, error.what());
  } catch (const std::bad_alloc&) {
    return failed("MMREG_E_MEMORY", "There is not enough memory. Crop the images, or resample them to a coarser grid.");
  } catch (const std::exception& error) {
    return failed("MMREG_E_INTERNAL", error.what());
  } catch (...) {
    return failed("MMREG_E_INTERNAL", "An unknown exception was thrown.");
  }
}

void forget_error() noexcept { last.code[0] = last.text[0] = '\0'; }
const char* last_code() noexcept { return last.code; }
const char* last_text() noexcept { return last.text; }

void check_struct_size(std::uint32_t size, const char* name) {
  if (size < sizeof(std::uint32_t) || size > kLargestStruct)
    refuse("MMREG_E_STRUCT_SIZE",
           "%s->struct_size must be the size of the structure; found %u. Set it to sizeof the structure.", name, size);
}

void check_not_null(const void* pointer, const char* name) {
  if (!pointer) refuse("MMREG_E_ARGUMENT", "%s must not be null.", name);
}

}  // namespace mmreg::capi

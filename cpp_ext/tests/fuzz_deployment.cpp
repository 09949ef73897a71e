// libFuzzer target of the parser of deployment.txt: whatever the bytes, it returns a manifest or throws a CodedError.
// tests/capi/fuzz_manifest.py builds and runs it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "capi/deployment/manifest.h"
#include "capi/deployment/sha2.h"
#include "ops/coded_error.h"

namespace {

// Random bytes would never match their checksum: of a text without one, also a copy with its right checksum is read.
void parse(const std::string& text) {
  try {
    const mmreg::capi::Manifest manifest = mmreg::capi::parse_manifest(text);
    if (manifest.files.size() > 3 + 2 * mmreg::capi::kMostStages) std::abort();
  } catch (const mmreg::CodedError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  parse(text);
  parse(text + "checksum = " + mmreg::capi::hex_of_sha256(text) + "\n");
  return 0;
}

#include "capi/deployment/lines.h"

#include <algorithm>

#include "capi/deployment/manifest.h"
#include "capi/guard.h"

namespace mmreg::capi {
namespace {

constexpr std::size_t kMostLines = 200, kMostLineBytes = 1024, kMostKeyBytes = 40;

bool is_key(std::string_view text) {
  return !text.empty() && text.size() <= kMostKeyBytes && std::all_of(text.begin(), text.end(), [](char c) {
    return ('a' <= c && c <= 'z') || ('0' <= c && c <= '9') || c == '_';
  });
}

bool is_value(std::string_view text) {
  return !text.empty() && text.front() != ' ' && text.back() != ' ' && text.find("  ") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) { return ' ' <= c && c <= '~'; });
}

[[noreturn]] void refuse_line(std::size_t number, const char* rule) {
  refuse("MMREG_E_DEPLOYMENT_LINE", "Line %zu of deployment.txt %s. Deploy the bundle again.", number, rule);
}

Line parsed(std::string_view line, std::size_t number) {
  if (line.size() > kMostLineBytes) refuse_line(number, "is longer than 1024 bytes");
  const std::size_t at = line.find(" = ");
  if (at == std::string_view::npos) refuse_line(number, "must be `key = value`");
  const Line out{line.substr(0, at), line.substr(at + 3)};
  if (!is_key(out.key)) refuse_line(number, "must begin with a key of a-z, 0-9 and _");
  if (!is_value(out.value)) refuse_line(number, "must have a value of ASCII characters with single spaces");
  return out;
}

}  // namespace

Lines split_lines(std::string_view text) {
  const auto count = std::size_t(std::count(text.begin(), text.end(), '\n'));
  if (text.size() > kMostManifestBytes || count > kMostLines)
    refuse("MMREG_E_DEPLOYMENT_TOO_LARGE",
           "deployment.txt may have %zu bytes and %zu lines; it has %zu bytes and %zu lines. Deploy the bundle again.",
           kMostManifestBytes, kMostLines, text.size(), count);
  if (text.empty() || text.back() != '\n') refuse_line(count + 1, "must end with a newline: the file was cut");
  Lines out;
  for (std::size_t at = 0, number = 1; at < text.size(); ++number) {
    const std::size_t end = text.find('\n', at);
    const Line line = parsed(text.substr(at, end - at), number);
    if ((line.key == "checksum") != (end + 1 == text.size()))
      refuse_line(number, "is wrong: the last line must be the checksum, and no other");
    if (line.key == "checksum") {
      out.checksum = line.value;
      out.covered = text.substr(0, at);
    } else {
      out.lines.push_back(line);
    }
    at = end + 1;
  }
  return out;
}

}  // namespace mmreg::capi

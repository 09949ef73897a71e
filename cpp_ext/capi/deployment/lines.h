// The grammar of deployment.txt: lines `key = value` and a checksum at the end.
#pragma once
#include <string_view>
#include <vector>

namespace mmreg::capi {

struct Line {
  std::string_view key, value;  // of the text
};

struct Lines {
  std::vector<Line> lines;   // without the checksum
  std::string_view covered;  // by the checksum: the text before it
  std::string_view checksum;
};

// Throws a CodedError if the text is too large or a line is not `key = value`.
Lines split_lines(std::string_view text);

}  // namespace mmreg::capi

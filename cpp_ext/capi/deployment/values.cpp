#include "capi/deployment/values.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "capi/guard.h"

namespace mmreg::capi {
namespace {

constexpr std::size_t kMostWordBytes = 100, kMostNumberBytes = 32, kMostWholeDigits = 10;

bool digit(char c) { return '0' <= c && c <= '9'; }

std::size_t skip_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && digit(text[at])) ++at;
  return at;
}

// -?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?
bool is_number(std::string_view text) {
  std::size_t at = !text.empty() && text[0] == '-', end = skip_digits(text, at);
  if (end == at) return false;
  if (end < text.size() && text[end] == '.') {
    at = end + 1;
    end = skip_digits(text, at);
    if (end == at) return false;
  }
  if (end < text.size() && text[end] == 'e') {
    at = end + 1;
    at += at < text.size() && (text[at] == '+' || text[at] == '-');
    end = skip_digits(text, at);
    if (end == at) return false;
  }
  return end == text.size() && text.size() <= kMostNumberBytes;
}

}  // namespace

void Value::refuse(const char* rule) const {
  capi::refuse("MMREG_E_DEPLOYMENT_VALUE", "%.*s of deployment.txt must be %s; found '%.*s'. Deploy the bundle again.",
               int(key_.size()), key_.data(), rule, int(std::min<std::size_t>(text_.size(), 80)), text_.data());
}

std::string Value::word() const {
  const bool fits =
      !text_.empty() && text_.size() <= kMostWordBytes && std::all_of(text_.begin(), text_.end(), [](char c) {
        return digit(c) || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '.' || c == '_' || c == '+' ||
               c == '-';
      });
  if (!fits) refuse("a word of letters, digits, '.', '_', '+' and '-'");
  return std::string(text_);
}

std::string Value::hex() const {
  const bool fits = text_.size() == 64 &&
                    std::all_of(text_.begin(), text_.end(), [](char c) { return digit(c) || ('a' <= c && c <= 'f'); });
  if (!fits) refuse("a SHA-256 of 64 digits 0-9 and a-f");
  return std::string(text_);
}

std::int64_t Value::whole(std::int64_t least, std::int64_t most) const {
  std::int64_t out = -1;
  const bool fits = !text_.empty() && text_.size() <= kMostWholeDigits && skip_digits(text_, 0) == text_.size() &&
                    (text_[0] != '0' || text_.size() == 1);
  if (fits) std::from_chars(text_.data(), text_.data() + text_.size(), out);
  if (!fits || out < least || out > most) {
    char rule[80];
    std::snprintf(rule, sizeof rule, "a whole number from %lld to %lld", static_cast<long long>(least),
                  static_cast<long long>(most));
    refuse(rule);
  }
  return out;
}

double Value::number(double least, double most) const {
  double out = 0;
  const bool fits =
      is_number(text_) && std::from_chars(text_.data(), text_.data() + text_.size(), out).ec == std::errc();
  if (!fits || !(least <= out && out <= most)) {
    char rule[80];
    std::snprintf(rule, sizeof rule, "a number from %g to %g", least, most);
    refuse(rule);
  }
  return out;
}

int Value::choice(std::initializer_list<const char*> words) const {
  std::string known;
  int index = 0;
  for (const char* word : words) {
    if (text_ == word) return index;
    known += (index++ ? ", " : "one of ") + std::string(word);
  }
  refuse(known.c_str());
}

std::vector<Value> Value::parts(std::size_t count) const { return parts(count, count); }

std::vector<Value> Value::parts(std::size_t least, std::size_t most) const {
  std::vector<Value> out;
  for (std::size_t at = 0; out.size() <= most;) {
    const std::size_t end = std::min(text_.find(' ', at), text_.size());
    out.emplace_back(key_, text_.substr(at, end - at));
    if (end == text_.size()) break;
    at = end + 1;
  }
  if (out.size() < least || out.size() > most) {
    const std::string count = least == most ? "" : std::to_string(least) + " to ";
    refuse((count + std::to_string(most) + " values with single spaces between").c_str());
  }
  return out;
}

}  // namespace mmreg::capi

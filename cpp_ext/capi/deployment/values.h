// Values of deployment.txt: words, whole numbers, numbers and hashes. Nothing depends on the locale.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace mmreg::capi {

// One value, with its key for the error. Each function throws MMREG_E_DEPLOYMENT_VALUE if it is of another kind.
class Value {
 public:
  Value(std::string_view key, std::string_view text) : key_(key), text_(text) {}

  std::string word() const;
  std::string hex() const;
  std::int64_t whole(std::int64_t least, std::int64_t most) const;
  double number(double least, double most) const;
  int choice(std::initializer_list<const char*> words) const;  // its index
  std::vector<Value> parts(std::size_t count) const;           // between the spaces
  std::vector<Value> parts(std::size_t least, std::size_t most) const;

  [[noreturn]] void refuse(const char* rule) const;

 private:
  std::string_view key_, text_;
};

}  // namespace mmreg::capi

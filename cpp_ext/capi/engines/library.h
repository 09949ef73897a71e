// Libraries that are loaded while the program runs.
#pragma once
#include <string>

namespace mmreg::capi {

// A library that stays loaded: engines keep threads of their own.
class Library {
 public:
  // Loads the library of `folder` whose name begins with `name`, such as libopenvino_c.so. Throws a CodedError.
  Library(const std::string& folder, const std::string& name);
  static Library of_system(const std::string& name);  // that which the system's loader finds
  static bool is_in(const std::string& folder, const std::string& name);

  template <class Function>
  void find(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(address(name));
  }
  const std::string& path() const { return path_; }

 private:
  explicit Library(const std::string& path);
  void* address(const char* name) const;  // throws if there is none

  std::string path_;
  void* handle_;
};

// Keeps libmmreg in memory until the program ends, for a thread that may return to it at any time.
void keep_this_library();

}  // namespace mmreg::capi

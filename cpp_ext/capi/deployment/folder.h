// The files of a deployment, read once and checked: what runs is what was checked.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "capi/deployment/manifest.h"

namespace mmreg::capi {

class Folder {
 public:
  explicit Folder(const char* path);  // throws a CodedError if it is no folder
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // Returns deployment.txt after the check of its signature; `public_key` may be null: then any will do.
  std::string manifest_text(const std::uint8_t* public_key) const;
  // Returns the contents of the declared files by name, and refuses any other file.
  std::map<std::string, std::string> files(const Manifest&) const;

 private:
  void check_entries(const Manifest&) const;

  int folder_;
};

}  // namespace mmreg::capi

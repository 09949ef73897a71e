#include "capi/engines/library.h"

#include <dirent.h>
#include <dlfcn.h>

#include "capi/guard.h"

namespace mmreg::capi {
namespace {

std::string path_of_this_library() {
  Dl_info facts{};
  if (!dladdr(reinterpret_cast<void*>(&keep_this_library), &facts) || !facts.dli_fname) return "";
  return facts.dli_fname;
}

std::string folder_of_this_library() {
  const std::string path = path_of_this_library();
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string real_folder(const std::string& folder) { return folder.empty() ? folder_of_this_library() : folder; }

// Returns the first name in the folder, in alphabetical order, that is `name` or `name` and a version; "": none.
std::string name_in(const std::string& folder, const std::string& name) {
  DIR* const entries = opendir(folder.c_str());
  std::string best;
  if (!entries) return best;
  while (const dirent* const entry = readdir(entries)) {
    const std::string one = entry->d_name;
    const bool fits = one == name || one.rfind(name + ".", 0) == 0;
    if (fits && (best.empty() || one < best)) best = one;
  }
  closedir(entries);
  return best;
}

std::string found_in(const std::string& folder, const std::string& name) {
  const std::string best = name_in(folder, name);
  if (best.empty())
    refuse("MMREG_E_ENGINE_LIBRARY",
           "There is no %s in '%.300s'. Set engine_path of the context to the folder of the engine's library.",
           name.c_str(), folder.c_str());
  return folder + "/" + best;
}

}  // namespace

Library::Library(const std::string& folder, const std::string& name) : Library(found_in(real_folder(folder), name)) {}

Library Library::of_system(const std::string& name) { return Library(name); }

bool Library::is_in(const std::string& folder, const std::string& name) {
  return !name_in(real_folder(folder), name).empty();
}

Library::Library(const std::string& path) : path_(path), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_) return;
  const char* const reason = dlerror();
  refuse("MMREG_E_ENGINE_LIBRARY", "'%.300s' cannot be loaded: %.400s. Install the engine again.", path_.c_str(),
         reason ? reason : "unknown reason");
}

void* Library::address(const char* name) const {
  if (void* const found = dlsym(handle_, name)) return found;
  refuse("MMREG_E_ENGINE_LIBRARY", "'%.300s' has no function %s. Install a version of the engine that has it.",
         path_.c_str(), name);
}

void keep_this_library() { dlopen(path_of_this_library().c_str(), RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE); }

}  // namespace mmreg::capi

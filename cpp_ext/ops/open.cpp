#include "ops/open.h"

#include <dlfcn.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "ops/coded_error.h"

namespace mmreg {
namespace {

struct Library {
  Device device{};
  std::string reason;  // why the device cannot be used
};

std::string folder() {  // of this module
  Dl_info info{};
  dladdr(reinterpret_cast<void*>(&folder), &info);
  const std::string path = info.dli_fname ? info.dli_fname : "";
  return path.substr(0, path.rfind('/') + 1);
}

Library load(const std::string& name) {
  Library library;
  const std::string path = folder() + "libmmreg_" + name + ".so";
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    library.reason = "this build has no " + name + " operations";
    if (access(path.c_str(), F_OK) == 0) library.reason = dlerror();
    return library;
  }
  const auto device = reinterpret_cast<Device (*)()>(dlsym(handle, "mmreg_device"));
  if (!device) {
    library.reason = path + " is not a library of operations";
    return library;
  }
  library.device = device();
  if (library.device.operations_bytes != sizeof(Operations)) {
    library.device.operations = nullptr;
    library.reason = path + " was built for another version; install the package again";
  } else if (!library.device.operations)
    library.reason = library.device.reason;
  return library;
}

const Library& library(const std::string& name) {  // retries a device that could not be used
  static std::mutex mutex;
  static std::map<std::string, Library> all;
  const std::lock_guard<std::mutex> hold(mutex);
  Library& entry = all[name];
  if (!entry.device.operations) entry = load(name);
  return entry;
}

std::string kind_of(const std::string& target) { return target.substr(0, target.find(':')); }

bool is_device(const std::string& target) {
  const std::string kind = kind_of(target);
  return kind == "cuda" || kind == "cuda_on_host";
}

}  // namespace

int device_number(const std::string& target) {
  const std::size_t colon = target.find(':');
  if (colon == std::string::npos) return 0;
  const std::string digits = target.substr(colon + 1);
  const bool fits = !digits.empty() && digits.size() < 4 && digits.find_first_not_of("0123456789") == std::string::npos;
  if (!fits) throw std::invalid_argument("a device is named cuda or cuda:N, not " + target);
  return std::stoi(digits);
}

std::vector<std::string> targets() {
  std::vector<std::string> names;
  for (const char* const* name = cpu_target_names(); *name; ++name)
    if (cpu_operations(*name)) names.push_back(*name);
  return names;
}

std::string why_no_device(const std::string& target) {
  if (!is_device(target)) throw std::invalid_argument("unknown kind of device: " + target);
  const Library& loaded = library(kind_of(target));
  if (!loaded.device.operations) return loaded.reason;
  try {
    loaded.device.facts(device_number(target));
  } catch (const CodedError& error) {
    return error.what();
  }
  return "";
}

const Device* device_library(const std::string& target) {
  const std::string reason = why_no_device(target);
  if (!reason.empty()) throw CodedError("MMREG_E_DEVICE", target + " was requested: " + reason);
  return &library(kind_of(target)).device;
}

Place open_place(const std::string& target, int threads, void* stream) {
  if (is_device(target)) {
    const Device* const device = device_library(target);
    return {device->operations, std::unique_ptr<Queue>(device->open_on(device_number(target), stream))};
  }
  const Operations* const operations = cpu_operations(target.empty() ? nullptr : target.c_str());
  if (!operations) throw std::invalid_argument("this CPU cannot run target '" + target + "'");
  return {operations, std::unique_ptr<Queue>(operations->open(threads))};
}

}  // namespace mmreg

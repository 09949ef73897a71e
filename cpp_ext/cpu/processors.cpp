#include "cpu/processors.h"

#include <sched.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

namespace mmreg {
namespace {

int processors_allowed() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return int(std::thread::hardware_concurrency());
}

// Returns the quota of one control group, 0 if unlimited. Version 2 has both numbers, or "max", in one file; version 1
// has one file for each, and -1 for no limit.
double quota_of(const std::string& group) {
  double quota = 0, period = 0;
  if (std::ifstream(group + "/cpu.max") >> quota >> period && quota > 0 && period > 0) return quota / period;
  if (std::ifstream(group + "/cpu.cfs_quota_us") >> quota && std::ifstream(group + "/cpu.cfs_period_us") >> period &&
      quota > 0 && period > 0)
    return quota / period;
  return 0;
}

// Returns the least quota of a group and its ancestors. In a container the path is often that of the host; missing
// files are skipped.
double least_quota(const std::string& mount, std::string path) {
  double least = 0;
  for (;;) {
    const double quota = quota_of(mount + path);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

}  // namespace

double processor_quota(const std::string& membership, const std::string& root) {
  double least = 0;
  std::ifstream lines(membership);
  for (std::string line; std::getline(lines, line);) {  // number:controllers:path
    std::istringstream fields(line);
    std::string number, controllers, path;
    std::getline(fields, number, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    const bool first = (',' + controllers + ',').find(",cpu,") != std::string::npos;
    if (!first && !controllers.empty()) continue;
    const double quota = least_quota(first ? root + "/cpu" : root, path == "/" ? "" : path);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  }
  return least;
}

int usable_processors() {
  static const double quota = processor_quota();  // read once: queues are opened often
  int count = processors_allowed();
  if (quota > 0 && std::ceil(quota) < count) count = int(std::ceil(quota));
  return count < 1 ? 1 : count;
}

}  // namespace mmreg

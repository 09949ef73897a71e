// Number of processors that this process may use.
#pragma once
#include <string>

namespace mmreg {

// Returns the size of the affinity mask, limited by the quota of the control groups (`docker run --cpus`); at least 1.
int usable_processors();

// Returns the processor time granted by control groups, in processors; 0 if unlimited. `membership` is a file such as
// /proc/self/cgroup, `root` a folder such as /sys/fs/cgroup; versions 1 and 2.
double processor_quota(const std::string& membership = "/proc/self/cgroup", const std::string& root = "/sys/fs/cgroup");

}  // namespace mmreg

// The features of this CPU on which the arithmetic of engines depends.
#pragma once
#include <string>

namespace mmreg::capi {

// Returns a word such as "x86_64+avx2+avx512f"; `flags` is the line of /proc/cpuinfo, or "".
std::string cpu_word(const std::string& machine, const std::string& flags);
std::string this_cpu();

// Throws unless this is the CPU that a deployment was made for.
void check_cpu(const std::string& word);

}  // namespace mmreg::capi

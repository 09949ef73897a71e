#include <cstdio>
#include <cstring>
#include <exception>

#include "tests/check.h"

namespace mmreg::test {

static Case* first = nullptr;
static int failures = 0;

Case::Case(const char* name, void (*run)()) : name(name), run(run), next(first) { first = this; }

void failed(const char* file, int line, const char* what, double a, double b) {
  if (++failures > 20) return;
  std::printf("  %s:%d: not so: %s", file, line, what);
  if (a != b) std::printf(" (%.9g, %.9g)", a, b);
  std::printf("\n");
}

static bool passes(const Case& test) {
  const int before = failures;
  try {
    test.run();
  } catch (const std::exception& error) {
    failed(test.name, 0, error.what());
  }
  return failures == before;
}

}  // namespace mmreg::test

int main(int count, char** arguments) {
  using namespace mmreg::test;
  int passed = 0, broken = 0;
  for (const Case* test = first; test; test = test->next) {
    if (count > 1 && !std::strstr(test->name, arguments[1])) continue;
    if (passes(*test)) {
      ++passed;
    } else {
      ++broken;
      std::printf("FAILED %s\n", test->name);
    }
  }
  std::printf("C++: %d tests held, %d did not\n", passed, broken);
  return broken > 0 || passed == 0;
}

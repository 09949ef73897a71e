// A test is TEST(area, sentence) { CHECK(...); }. The runner runs those whose name contains its argument.
#pragma once
#include <cmath>
#include <cstdio>

namespace mmreg::test {

struct Case {
  const char* name;
  void (*run)();
  Case* next;
  Case(const char* name, void (*run)());
};

void failed(const char* file, int line, const char* what);  // counts, and goes on with the test

}  // namespace mmreg::test

#define TEST(area, sentence)                                                                    \
  static void area##_##sentence();                                                              \
  static ::mmreg::test::Case case_##area##_##sentence(#area ": " #sentence, area##_##sentence); \
  static void area##_##sentence()

#define CHECK(condition) \
  if (!(condition)) ::mmreg::test::failed(__FILE__, __LINE__, #condition)
#define CHECK_NEAR(a, b, tolerance)                    \
  if (!(std::abs(double(a) - double(b)) <= tolerance)) \
  std::printf("  %.9g against %.9g\n", double(a), double(b)), ::mmreg::test::failed(__FILE__, __LINE__, #a " near " #b)

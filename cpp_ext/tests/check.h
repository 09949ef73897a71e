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

// Counts, and goes on with the test; a and b are the numbers that were compared.
void failed(const char* file, int line, const char* what, double a = 0, double b = 0);

}  // namespace mmreg::test

#define TEST(area, sentence)                                                                    \
  static void area##_##sentence();                                                              \
  static ::mmreg::test::Case case_##area##_##sentence(#area ": " #sentence, area##_##sentence); \
  static void area##_##sentence()

#define CHECK(condition) \
  if (!(condition)) ::mmreg::test::failed(__FILE__, __LINE__, #condition)
#define CHECK_NEAR(a, b, tolerance) \
  if (!(std::abs(double(a) - double(b)) <= (tolerance))) ::mmreg::test::failed(__FILE__, __LINE__, #a " near " #b, a, b)

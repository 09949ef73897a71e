// Tests on doctest: a test is TEST(area, sentence) { CHECK(...); }.
#pragma once
#include <cmath>

#define DOCTEST_CONFIG_NO_SHORT_MACRO_NAMES
#include "third_party/doctest/doctest.h"

#define TEST(area, sentence) DOCTEST_TEST_CASE(#area ": " #sentence)

// Checks the condition as a whole: doctest's own CHECK does not support && and ||.
#define CHECK(...) DOCTEST_CHECK_UNARY(__VA_ARGS__)
#define CHECK_NEAR(a, b, tolerance) DOCTEST_CHECK(std::abs(double(a) - double(b)) <= (tolerance))

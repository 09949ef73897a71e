// Selection of a table by name, or of the best one.
#include <cstring>

#include "tests/arrays.h"
#include "tests/check.h"

namespace mmreg::test {

TEST(dispatch, every_table_is_found_by_its_name) {
  for (const Operations* operations : all_targets()) CHECK(cpu_operations(operations->name) == operations);
  CHECK(cpu_operations("baseline") != nullptr);
}

TEST(dispatch, the_best_is_the_first_that_runs) {
  CHECK(cpu_operations() == all_targets().front());
  CHECK(std::strcmp(all_targets().back()->name, "baseline") == 0);
}

TEST(dispatch, an_unknown_name_has_no_table) {
  CHECK(cpu_operations("") == nullptr);
  CHECK(cpu_operations("avx") == nullptr);
  CHECK(cpu_operations("AVX2") == nullptr);
}

TEST(dispatch, memory_goes_up_and_comes_down_unchanged) {
  for (const Operations* operations : all_targets()) {
    const auto queue = open(*operations, 1);
    const std::vector<float> sent = uniform(1001, -1, 1);
    std::vector<float> received(sent.size());
    void* memory = operations->allocate(*queue, sent.size() * sizeof(float));
    operations->upload(*queue, memory, sent.data(), sent.size() * sizeof(float));
    operations->download(*queue, received.data(), memory, sent.size() * sizeof(float));
    operations->release(*queue, memory);
    CHECK(sent == received);
  }
}

}  // namespace mmreg::test

// Python bindings: check, allocate, release the GIL, call. No arithmetic.
#include <nanobind/stl/vector.h>

#include <vector>

#include "bind/arrays.h"

namespace mmreg::bind {

const Operations* find_operations(const std::string& target) {
  const Operations* found = cpu_operations(target.empty() ? nullptr : target.c_str());
  if (!found) throw nb::value_error(("this CPU cannot run target '" + target + "'").c_str());
  return found;
}

Call::Call(const std::string& target, int threads)
    : operations_(find_operations(target)), queue_(operations_->open(threads)) {}

void require(bool ok, const char* message) {
  if (!ok) throw nb::value_error(message);
}

static std::vector<std::string> targets() {
  std::vector<std::string> names;
  for (const char* const* name = cpu_target_names(); *name; ++name)
    if (cpu_operations(*name)) names.push_back(*name);
  return names;
}

void bind_displacement(nb::module_&);
void bind_sampling(nb::module_&);
void bind_align(nb::module_&);
void bind_filters(nb::module_&);
void bind_samples(nb::module_&);
void bind_search(nb::module_&);
void bind_similarity(nb::module_&);
void bind_refine(nb::module_&);
void bind_register(nb::module_&);
void bind_deform(nb::module_&);
void bind_facts(nb::module_&);

}  // namespace mmreg::bind

NB_MODULE(_native, m) {
  using namespace mmreg::bind;
  m.def("targets", &targets, "CPU targets that this machine runs, best first.");
  bind_displacement(m);
  bind_sampling(m);
  bind_align(m);
  bind_filters(m);
  bind_samples(m);
  bind_search(m);
  bind_similarity(m);
  bind_refine(m);
  bind_register(m);
  bind_deform(m);
  bind_facts(m);
}

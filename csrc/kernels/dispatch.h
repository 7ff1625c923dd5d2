// CPU detection, the active kernel table, and the checked override.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "table.h"

namespace rusttorch {

// ISAs compiled into this library that this CPU can run, best first; the last is always "scalar".
std::vector<std::string> available_isas();

// Makes `name` the active table. Returns an empty string, or the reason why not (unknown name: lists the valid ones;
// not supported by this CPU), in which case nothing changed. "" or "auto" selects the best.
std::string use_isa(const std::string& name);

// Empty, or why TORCHEXT_ISA is not usable. kernels() then uses the best ISA; the caller decides whether to raise.
std::string isa_environment_error();

namespace detail {
extern std::atomic<const KernelTable*> active_table;
const KernelTable* select_initial_table();  // best table, or the one that TORCHEXT_ISA names if it is valid
}  // namespace detail

// The active table: chosen once, at the first call.
inline const KernelTable& kernels() {
  const KernelTable* table = detail::active_table.load(std::memory_order_relaxed);
  return table ? *table : *detail::select_initial_table();
}

}  // namespace rusttorch

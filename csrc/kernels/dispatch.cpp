// CPU detection and the active kernel table.
#include "dispatch.h"

#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace rusttorch {

// One table per isa_<name>.cpp.
#if defined(__x86_64__)
namespace avx512 {
extern const KernelTable kernel_table;
}
namespace avx2 {
extern const KernelTable kernel_table;
}
#elif defined(__aarch64__)
namespace neon {
extern const KernelTable kernel_table;
}
#endif
namespace scalar {
extern const KernelTable kernel_table;
}

namespace {

bool always() { return true; }

#if defined(__x86_64__)
// __builtin_cpu_supports also asks the operating system (XGETBV) whether it saves the registers.
bool has_avx2() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);  // clang 14 has no name for it
  return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

struct Implementation {
  const KernelTable* table;
  bool (*supported)();
};

// Best first. NEON is part of every aarch64.
constexpr Implementation kImplementations[] = {
#if defined(__x86_64__)
    {&avx512::kernel_table, has_avx512},
    {&avx2::kernel_table, has_avx2},
#elif defined(__aarch64__)
    {&neon::kernel_table, always},
#endif
    {&scalar::kernel_table, always},
};

const KernelTable* best_table() {
  for (const Implementation& implementation : kImplementations) {
    if (implementation.supported()) return implementation.table;
  }
  return &scalar::kernel_table;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// The table called `name`, or nullptr and the reason in `error`.
const KernelTable* find_table(const std::string& name, std::string& error) {
  if (name.empty() || name == "auto") return best_table();
  for (const Implementation& implementation : kImplementations) {
    if (name != implementation.table->name) continue;
    if (implementation.supported()) return implementation.table;
    error = "ISA \"" + name + "\" is not supported by this CPU; available: auto, " + joined(available_isas());
    return nullptr;
  }
  error = "unknown ISA \"" + name + "\"; available: auto, " + joined(available_isas());
  return nullptr;
}

const KernelTable* table_from_environment(std::string& error) {
  const char* value = std::getenv("TORCHEXT_ISA");
  const KernelTable* table = find_table(value ? value : "", error);
  if (!table) error = "TORCHEXT_ISA: " + error;
  return table;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Implementation& implementation : kImplementations) {
    if (implementation.supported()) names.emplace_back(implementation.table->name);
  }
  return names;
}

std::string use_isa(const std::string& name) {
  std::string error;
  if (const KernelTable* table = find_table(name, error)) detail::active_table.store(table, std::memory_order_relaxed);
  return error;
}

std::string isa_environment_error() {
  std::string error;
  table_from_environment(error);
  return error;
}

namespace detail {

constinit std::atomic<const KernelTable*> active_table{nullptr};

const KernelTable* select_initial_table() {
  std::string error;
  const KernelTable* table = table_from_environment(error);
  if (!table) table = best_table();
  const KernelTable* expected = nullptr;  // another thread, or use_isa(), may have been first
  return active_table.compare_exchange_strong(expected, table) ? table : expected;
}

}  // namespace detail
}  // namespace rusttorch

// The AVX-512 kernel table over emulated intrinsics (CMakeLists.txt adds its kernels), and a dispatcher that offers it,
// and the scalar one for comparison.
#include "region_emulated.h"

#include "isa_table.h"

#include "dispatch.h"

namespace rusttorch {
namespace scalar {
extern const KernelTable kernel_table;
}

std::vector<std::string> available_isas() { return {"avx512"}; }
std::string use_isa(const std::string& name) {
  if (name != "avx512" && name != "auto" && name != "scalar") return "emulated AVX-512 and scalar only";
  detail::active_table.store(name == "scalar" ? &scalar::kernel_table : &avx512::kernel_table);
  return "";
}
std::string isa_environment_error() { return ""; }
namespace detail {
constinit std::atomic<const KernelTable*> active_table{&avx512::kernel_table};
const KernelTable* select_initial_table() { return &avx512::kernel_table; }
}  // namespace detail

}  // namespace rusttorch

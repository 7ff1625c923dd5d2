// The checks of vec_checks.h for AVX-512 over emulated intrinsics.
#include <iterator>

#include "region_emulated.h"

#include "map.h"
#include "vec_checks_body.h"

namespace rusttorch::test {
VecChecks vec_checks_avx512() { return avx512::vec_check_list(); }
}  // namespace rusttorch::test

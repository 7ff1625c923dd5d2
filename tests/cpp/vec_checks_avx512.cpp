// The checks of vec_checks.h for avx512.
#if defined(__x86_64__)
#include <iterator>

#include "vec_checks.h"

#include "region_avx512.h"

#include "map.h"
#include "vec_checks_body.h"
#include "region_end.h"

namespace rusttorch::test {
VecChecks vec_checks_avx512() { return avx512::vec_check_list(); }
}  // namespace rusttorch::test
#endif

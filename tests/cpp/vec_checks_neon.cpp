// The checks of vec_checks.h for neon.
#if defined(__aarch64__)
#include <iterator>

#include "vec_checks.h"

#include "region_neon.h"

#include "map.h"
#include "vec_checks_body.h"
#include "region_end.h"

namespace rusttorch::test {
VecChecks vec_checks_neon() { return neon::vec_check_list(); }
}  // namespace rusttorch::test
#endif

// The checks of vec_checks.h for scalar.
#include <iterator>

#include "vec_checks.h"

#include "region_scalar.h"

#include "map.h"
#include "vec_checks_body.h"
#include "region_end.h"

namespace rusttorch::test {
VecChecks vec_checks_scalar() { return scalar::vec_check_list(); }
}  // namespace rusttorch::test

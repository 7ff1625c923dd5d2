// The functions of double_functions.h for scalar.
#include "region_scalar.h"

#include "double_functions_body.h"
#include "region_end.h"

namespace rusttorch::test {
const DoubleFunction* double_functions_scalar() { return scalar::double_function_table(); }
}  // namespace rusttorch::test

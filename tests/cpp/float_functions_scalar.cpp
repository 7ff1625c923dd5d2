// The functions of float_functions.h for scalar.
#include "region_scalar.h"

#include "float_functions_body.h"
#include "region_end.h"

namespace rusttorch::test {
const FloatFunction* float_functions_scalar() { return scalar::float_function_table(); }
}  // namespace rusttorch::test

// The functions of float_functions.h for neon.
#if defined(__aarch64__)
#include "region_neon.h"

#include "float_functions_body.h"
#include "region_end.h"

namespace rusttorch::test {
const FloatFunction* float_functions_neon() { return neon::float_function_table(); }
}  // namespace rusttorch::test
#endif

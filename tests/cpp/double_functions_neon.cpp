// The functions of double_functions.h for neon.
#if defined(__aarch64__)
#include "region_neon.h"

#include "double_functions_body.h"
#include "region_end.h"

namespace rusttorch::test {
const DoubleFunction* double_functions_neon() { return neon::double_function_table(); }
}  // namespace rusttorch::test
#endif

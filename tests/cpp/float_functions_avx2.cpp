// The functions of float_functions.h for avx2.
#if defined(__x86_64__)
#include "region_avx2.h"

#include "float_functions_body.h"
#include "region_end.h"

namespace rusttorch::test {
const FloatFunction* float_functions_avx2() { return avx2::float_function_table(); }
}  // namespace rusttorch::test
#endif

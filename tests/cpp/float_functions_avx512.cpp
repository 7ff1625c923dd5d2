// The functions of float_functions.h for avx512.
#if defined(__x86_64__)
#include "region_avx512.h"

#include "float_functions_body.h"
#include "region_end.h"

namespace rusttorch::test {
const FloatFunction* float_functions_avx512() { return avx512::float_function_table(); }
}  // namespace rusttorch::test
#endif

// The functions of float_functions.h for AVX-512 over emulated intrinsics.
#include "region_emulated.h"

#include "float_functions_body.h"

namespace rusttorch::test {
const FloatFunction* float_functions_avx512() { return avx512::float_function_table(); }
}  // namespace rusttorch::test

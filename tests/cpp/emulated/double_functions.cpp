// The functions of double_functions.h for AVX-512 over emulated intrinsics.
#include "region_emulated.h"

#include "double_functions_body.h"

namespace rusttorch::test {
const DoubleFunction* double_functions_avx512() { return avx512::double_function_table(); }
}  // namespace rusttorch::test

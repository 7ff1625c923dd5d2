// The functions of double_functions.h for avx512.
#if defined(__x86_64__)
#include "region_avx512.h"

#include "double_functions_body.h"
#include "region_end.h"

namespace rusttorch::test {
const DoubleFunction* double_functions_avx512() { return avx512::double_function_table(); }
}  // namespace rusttorch::test
#endif

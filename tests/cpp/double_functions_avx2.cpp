// The functions of double_functions.h for avx2.
#if defined(__x86_64__)
#include "region_avx2.h"

#include "double_functions_body.h"
#include "region_end.h"

namespace rusttorch::test {
const DoubleFunction* double_functions_avx2() { return avx2::double_function_table(); }
}  // namespace rusttorch::test
#endif

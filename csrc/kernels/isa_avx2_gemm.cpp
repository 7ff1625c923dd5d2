// Products of matrices for AVX2 + FMA + F16C.
#if defined(__x86_64__)
#include "region_avx2.h"

#define RUSTTORCH_INSTANCE template
#include "instances_gemm.h"
#include "region_end.h"
#endif

// Products of matrices for AVX-512 (F, DQ, BW, VL).
#if defined(__x86_64__)
#include "region_avx512.h"

#define RUSTTORCH_INSTANCE template
#include "instances_gemm.h"
#include "region_end.h"
#endif

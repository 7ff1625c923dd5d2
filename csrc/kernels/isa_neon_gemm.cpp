// Products of matrices for NEON, part of every aarch64.
#if defined(__aarch64__)
#include "region_neon.h"

#define RUSTTORCH_INSTANCE template
#include "instances_gemm.h"
#include "region_end.h"
#endif

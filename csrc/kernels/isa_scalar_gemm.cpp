// Products of matrices for one lane: any CPU.
#include "region_scalar.h"

#define RUSTTORCH_INSTANCE template
#include "instances_gemm.h"
#include "region_end.h"

// The kernel table for AVX2 + FMA + F16C.
#if defined(__x86_64__)
#include "region_avx2.h"

#include "isa_table.h"
#include "region_end.h"
#endif

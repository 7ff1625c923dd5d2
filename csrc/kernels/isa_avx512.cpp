// The kernel table for AVX-512 (F, DQ, BW, VL).
#if defined(__x86_64__)
#include "region_avx512.h"

#include "isa_table.h"
#include "region_end.h"
#endif

// Opens the AVX2 region: 8 floats or 4 doubles a vector (Haswell, Zen and later). Close it with region_end.h.
#pragma once
#include <immintrin.h>

#include "region_headers.h"

#define RUSTTORCH_ISA avx2
#define RUSTTORCH_REGION_OPEN
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
#include "vec_avx2.h"

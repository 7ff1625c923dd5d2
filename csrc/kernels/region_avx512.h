// Opens the AVX-512 region: 16 floats or 8 doubles a vector (Skylake server, Zen 4 and later). Close it with region_end.h.
#pragma once
#if !defined(__clang__)  // g++ 12 calls the registers that its own header leaves undefined "maybe uninitialized"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include "region_headers.h"

#define RUSTTORCH_ISA avx512
#define RUSTTORCH_REGION_OPEN
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,f16c"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,f16c")
#endif
#include "vec_avx512.h"

// Stands for region_avx512.h: the same Vec, over emulated intrinsics.
#pragma once
#include "avx512_intrinsics.h"
#include "region_headers.h"

#define RUSTTORCH_ISA avx512
#include "vec_avx512.h"

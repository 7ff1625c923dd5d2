// NEON belongs to every aarch64, so there is no region to open: 4 floats or 2 doubles a vector.
#pragma once
#include <arm_neon.h>

#include "region_headers.h"

#define RUSTTORCH_ISA neon
#include "vec_neon.h"

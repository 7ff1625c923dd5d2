// One lane, no intrinsics, no region: the reference, and what runs on a CPU without any of the other ISAs.
#pragma once
#include "region_headers.h"

#define RUSTTORCH_ISA scalar
#include "vec_scalar.h"

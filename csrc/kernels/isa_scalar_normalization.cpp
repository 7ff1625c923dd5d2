// The normalisations for one lane: any CPU.
#include "region_scalar.h"

#define RUSTTORCH_INSTANCE template
#include "instances_normalization.h"
#include "region_end.h"

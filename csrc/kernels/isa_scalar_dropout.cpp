// Dropout for one lane: any CPU.
#include "region_scalar.h"

#define RUSTTORCH_INSTANCE template
#include "instances_dropout.h"
#include "region_end.h"

// The kernel table for one lane: any CPU.
#include "region_scalar.h"

#include "isa_table.h"
#include "region_end.h"

// The kernel table for NEON, part of every aarch64.
#if defined(__aarch64__)
#include "region_neon.h"

#include "isa_table.h"
#include "region_end.h"
#endif

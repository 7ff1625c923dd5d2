// Reductions. Sums and sums of squared deviations give double, for the caller to scale and round once; extremes give the
// element itself and, if asked, its place.
//
//   X(name, Functor) for each extreme: NaN wins, then the larger (smaller) value, then the first place
#pragma once

#define RUSTTORCH_EXTREMES(X) \
  X(max, Largest)             \
  X(min, Smallest)

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "reduce_equal.h"
#include "reduce_tiny.h"
#endif

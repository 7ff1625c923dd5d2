// The instances of the activations: defined in isa_<name>_activations.cpp, where RUSTTORCH_INSTANCE is `template`, and
// declared for the table, where it is `extern template`. An edit of activations.h compiles only the former anew.
#pragma once
#include "activations.h"
#include "map.h"

namespace rusttorch::RUSTTORCH_ISA {

#define RUSTTORCH_KERNELS(T, Functor)                                                       \
  RUSTTORCH_INSTANCE void map1<T, Functor>(void*, const void*, int64_t, const Parameters&); \
  RUSTTORCH_INSTANCE void map1_backward<T, Functor>(void*, const void*, const void*, int64_t, const Parameters&);
#define RUSTTORCH_ROW(name, Functor)   \
  RUSTTORCH_KERNELS(float, Functor)    \
  RUSTTORCH_KERNELS(double, Functor)   \
  RUSTTORCH_KERNELS(bfloat16, Functor) \
  RUSTTORCH_KERNELS(float16, Functor)
RUSTTORCH_ACTIVATIONS(RUSTTORCH_ROW)
#undef RUSTTORCH_ROW
#undef RUSTTORCH_KERNELS

// relu has no integer backward.
RUSTTORCH_INSTANCE void map1<int32_t, Relu>(void*, const void*, int64_t, const Parameters&);
RUSTTORCH_INSTANCE void map1<int64_t, Relu>(void*, const void*, int64_t, const Parameters&);

}  // namespace rusttorch::RUSTTORCH_ISA

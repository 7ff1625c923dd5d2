// Plain data shared by every ISA and by the callers of the kernels. Torch-free.
#pragma once
#include <cstdint>

namespace rusttorch {

// Storage types of the reduced precisions; the arithmetic is float32, rounded once at the store.
struct bfloat16 {
  uint16_t bits;
};
struct float16 {
  uint16_t bits;
};

// Index of a dtype in a table row. The floating dtypes come first, so a row of activations has four entries.
enum DtypeIndex : int { kFloat32, kFloat64, kBFloat16, kFloat16, kInt32, kInt64 };
inline constexpr int kFloatingDtypes = 4;
inline constexpr int kDtypes = 6;

// Step of a broadcast operand that is one value of the compute type: float for bfloat16 and float16, else the dtype
// itself. ATen keeps a one-element divisor or factor of a reduced-precision operation in float32; so can the caller.
inline constexpr int64_t kScalarStep = -1;

// Scalar arguments of a kernel. `integer` carries what a double cannot hold exactly (int64 alpha) and flags.
struct Parameters {
  double a = 0, b = 0, c = 0;
  int64_t integer = 0;
};

}  // namespace rusttorch

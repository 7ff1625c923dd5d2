// Forward of normalization.h.
#pragma once
#include "normalization_sums.h"

namespace rusttorch::RUSTTORCH_ISA {

// n = (x - mean) rstd + shift. `mean` is what the first pass finds, rounded to C; the second adds up what it missed,
// whose share of n is `shift`: for data far from zero that is most of the error of one pass and half of that of two.
template <class C>
struct RowStatistics {
  C mean, shift, rstd;
};

// The first pass: the mean, or zero.
template <class T, class Norm>
RUSTTORCH_INLINE Compute<T> centre_of_row(const T* in, int64_t size) {
  using C = Compute<T>;
  using V = Vec<C>;
  if constexpr (!Norm::centred) return C(0);
  else return C(sums_of_row<C, true, false>(RowSource<T, Plain<V>>{in, V(C(0))}, size).sum / double(size));
}
// The second.
template <class T, class Norm>
RUSTTORCH_INLINE RowStatistics<Compute<T>> statistics_of_row(const T* in, Compute<T> centre, int64_t size, double eps) {
  using C = Compute<T>;
  using V = Vec<C>;
  if constexpr (!Norm::centred) {
    const double squares = sums_of_row<C, false, true>(RowSource<T, Plain<V>>{in, V(C(0))}, size).squares;
    return {C(0), C(0), C(1 / __builtin_sqrt(squares / double(size) + eps))};
  } else {
    const RowSums sums = sums_of_row<C, true, true>(RowSource<T, Deviation<V>>{in, V(centre)}, size);
    const double missed = sums.sum / double(size);
    double variance = sums.squares / double(size) - missed * missed;
    if (variance < 0) variance = 0;  // a NaN stays
    const double rstd = 1 / __builtin_sqrt(variance + eps);
    return {centre, C(-missed * rstd), C(rstd)};
  }
}

template <class T, class P, class Norm>
struct NormalizeBody {
  using V = Vec<Compute<T>>;
  T* out;
  const T* in;
  Stepped<P> weight, bias;
  V mean, shift, rstd;
  RUSTTORCH_INLINE V apply(V x, V w, V b) const {
    if constexpr (Norm::centred) return fma(fma(x - mean, rstd, shift), w, b);
    else return x * rstd * w;
  }
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V x[count], w[count], b[count];
    load_block(in + i, x);
    weight.block(i, w);
    if constexpr (Norm::centred) bias.block(i, b);
    for (int k = 0; k < count; ++k) x[k] = apply(x[k], w[k], Norm::centred ? b[k] : w[k]);
    store_block(out + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    const V w = weight.part(i, n);
    apply(V::load(in + i, n), w, Norm::centred ? bias.part(i, n) : w).store(out + i, n);
  }
};

// Vectors in flight. Weights of another dtype than the input cannot go in pairs (map.h), whose lanes have an order of
// their own.
template <class T, class P>
constexpr int normalize_unroll = std::is_same_v<T, P> ? 2 : 1;

// Short rows go pass by pass in groups: a pass ends with a chain of additions, a division and a root, some 50 ns a row,
// which the processor overlaps with those of the next row only where nothing waits for them.
inline constexpr int kRowsInFlight = 8, kShortRow = 512;

// out, in: [rows][size]; mean, rstd: [rows] in the compute type, or null; weight, bias: [size] of P, or null (rms_norm has
// no bias). out = (in - mean) rstd weight + bias.
template <class T, class P, class Norm>
void normalize_rows(void* out, void* mean, void* rstd, const void* in, const void* weight, const void* bias,
                    int64_t rows, int64_t size, double eps) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int unroll = normalize_unroll<T, P>;
  Repeated<P, unroll * V::lanes> ones, zeros;
  const Stepped<P> weights = array_or(weight, ones, C(1), size), biases = array_or(bias, zeros, C(0), size);
  const int64_t group = size <= kShortRow ? kRowsInFlight : 1;
  for (int64_t row = 0; row < rows; row += group) {
    const int count = int(rows - row < group ? rows - row : group);
    const T* const from = static_cast<const T*>(in) + row * size;
    T* const to = static_cast<T*>(out) + row * size;
    C centres[kRowsInFlight];
    RowStatistics<C> statistics[kRowsInFlight];
    for (int k = 0; k < count; ++k) centres[k] = centre_of_row<T, Norm>(from + k * size, size);
    for (int k = 0; k < count; ++k) {
      statistics[k] = statistics_of_row<T, Norm>(from + k * size, centres[k], size, eps);
    }
    for (int k = 0; k < count; ++k) {
      const RowStatistics<C> s = statistics[k];
      if (mean) static_cast<C*>(mean)[row + k] = s.mean;
      if (rstd) static_cast<C*>(rstd)[row + k] = s.rstd;
      NormalizeBody<T, P, Norm> body{to + k * size, from + k * size, weights, biases, V(s.mean), V(s.shift), V(s.rstd)};
      for_each_vector<unroll, V::lanes>(size, body);
    }
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA

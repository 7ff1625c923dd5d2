// Backward of normalization.h.
#pragma once
#include "normalization_sums.h"

namespace rusttorch::RUSTTORCH_ISA {

// Rows whose sums are made together: the sums of dw and db are then loaded and stored once for all of them. As many as
// leave their own sums in registers.
inline constexpr int kRowsTogether = Vec<float>::lanes >= 16 ? 4 : 2;

// dx = ((dy w - mean_of_g) - (x - mean) slope) rstd with slope = rstd mean(g n). In this order a row of one element has
// the gradient zero exactly.
template <class T, class P, class Norm>
struct GradInputBody {
  using V = Vec<Compute<T>>;
  T* grad_input;
  const T* grad_output;
  const T* in;
  Stepped<P> weight;
  V mean, rstd, mean_of_g, slope;
  RUSTTORCH_INLINE V apply(V dy, V x, V w) const {
    V g = dy * w;
    if constexpr (Norm::centred) {
      g = g - mean_of_g;
      x = x - mean;
    }
    return fnma(x, slope, g) * rstd;
  }
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V dy[count], x[count], w[count];
    load_block(grad_output + i, dy);
    load_block(in + i, x);
    weight.block(i, w);
    for (int k = 0; k < count; ++k) x[k] = apply(dy[k], x[k], w[k]);
    store_block(grad_input + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    apply(V::load(grad_output + i, n), V::load(in + i, n), weight.part(i, n)).store(grad_input + i, n);
  }
};

// `rows` rows from one on. `parameters`: dw and db are wanted.
template <class T, class P, class Norm, int rows, bool parameters>
struct BackwardGroup {
  using C = Compute<T>;
  using V = Vec<C>;
  static constexpr int lanes = kSumLanes<C>;
  T* grad_input;  // or null
  C* grad_weight;
  C* grad_bias;
  const T* grad_output;
  const T* in;
  const C* mean;
  const C* rstd;
  Stepped<P> weight;
  int64_t size;

  // A vector of columns: first += g, second += g n, dw += dy n, db += dy. Columns from n on add nothing.
  template <bool partial>
  RUSTTORCH_INLINE void add_columns(int64_t i, int64_t n, V (&first)[rows], V (&second)[rows]) const {
    V w[1], dw, db;
    if constexpr (partial) w[0] = weight.part(i, n);
    else weight.block(i, w);
    if constexpr (parameters) {
      dw = partial ? V::load(grad_weight + i, n) : V::load(grad_weight + i);
      db = partial ? V::load(grad_bias + i, n) : V::load(grad_bias + i);
    }
    for (int row = 0; row < rows; ++row) {
      const int64_t at = row * size + i;
      const V dy = partial ? V::load(grad_output + at, n) : V::load(grad_output + at);
      const V x = partial ? V::load(in + at, n) : V::load(in + at);
      const V normal = (Norm::centred ? x - V(mean[row]) : x) * V(rstd[row]);
      const V g = dy * w[0];
      if constexpr (Norm::centred) first[row] = first[row] + g;
      second[row] = fma(g, normal, second[row]);
      if constexpr (parameters) {
        dw = fma(dy, normal, dw);
        if constexpr (Norm::centred) db = db + dy;
      }
    }
    if constexpr (parameters) {
      if constexpr (partial) dw.store(grad_weight + i, n);
      else dw.store(grad_weight + i);
      if constexpr (Norm::centred) {
        if constexpr (partial) db.store(grad_bias + i, n);
        else db.store(grad_bias + i);
      }
    }
  }

  RUSTTORCH_INLINE void run() const {
    LaneTotals<C> first_totals[rows], second_totals[rows];
    for (int row = 0; row < rows; ++row) first_totals[row].clear(), second_totals[row].clear();
    for (int64_t start = 0; start < size; start += kRowBlock<C>) {
      const int64_t end = start + kRowBlock<C> < size ? start + kRowBlock<C> : size;
      C first_lanes[rows][lanes], second_lanes[rows][lanes];
      for (int p = 0; p < lanes; p += V::lanes) {
        V first[rows], second[rows];
        for (int row = 0; row < rows; ++row) first[row] = V(C(0)), second[row] = V(C(0));
        int64_t i = start + p;
        for (; i + V::lanes <= end; i += lanes) add_columns<false>(i, V::lanes, first, second);
        if (i < end) add_columns<true>(i, end - i, first, second);
        for (int row = 0; row < rows; ++row) {
          first[row].store(first_lanes[row] + p);
          second[row].store(second_lanes[row] + p);
        }
      }
      for (int row = 0; row < rows; ++row) {
        if constexpr (Norm::centred) first_totals[row].add(first_lanes[row]);
        second_totals[row].add(second_lanes[row]);
      }
    }
    if (!grad_input) return;
    constexpr int unroll = std::is_same_v<T, P> ? 2 : 1;  // see normalize_unroll
    for (int row = 0; row < rows; ++row) {
      const double slope = second_totals[row].sum() / double(size) * double(rstd[row]);
      const double mean_of_g = Norm::centred ? first_totals[row].sum() / double(size) : 0;
      GradInputBody<T, P, Norm> body{grad_input + row * size,
                                     grad_output + row * size,
                                     in + row * size,
                                     weight,
                                     V(Norm::centred ? mean[row] : C(0)),
                                     V(rstd[row]),
                                     V(C(mean_of_g)),
                                     V(C(slope))};
      for_each_vector<unroll, V::lanes>(size, body);
    }
  }
};

// grad_input, grad_output, in: [rows][size]; mean, rstd: [rows] in the compute type (rms_norm: mean is null); weight:
// [size] of P, or null. grad_input may be null. grad_weight, grad_bias: [size] in the compute type, both null or neither
// (rms_norm does not touch grad_bias); the rows are added to what is there, one after the other.
template <class T, class P, class Norm>
void normalize_rows_backward(void* grad_input, void* grad_weight, void* grad_bias, const void* grad_output,
                             const void* in, const void* mean, const void* rstd, const void* weight, int64_t rows,
                             int64_t size) {
  using C = Compute<T>;
  Repeated<P, 2 * Vec<C>::lanes> ones;
  const Stepped<P> weights = array_or(weight, ones, C(1), size);
  C *const dw = static_cast<C*>(grad_weight), *const db = static_cast<C*>(grad_bias);
  int64_t row = 0;
  const int64_t together = rows - rows % kRowsTogether;
  while (row < rows) {
    T* const to = grad_input ? static_cast<T*>(grad_input) + row * size : nullptr;
    const T* const dy = static_cast<const T*>(grad_output) + row * size;
    const T* const x = static_cast<const T*>(in) + row * size;
    const C* const means = Norm::centred ? static_cast<const C*>(mean) + row : nullptr;
    const C* const scales = static_cast<const C*>(rstd) + row;
    if (row < together) {
      if (dw) BackwardGroup<T, P, Norm, kRowsTogether, true>{to, dw, db, dy, x, means, scales, weights, size}.run();
      else BackwardGroup<T, P, Norm, kRowsTogether, false>{to, dw, db, dy, x, means, scales, weights, size}.run();
      row += kRowsTogether;
    } else {
      if (dw) BackwardGroup<T, P, Norm, 1, true>{to, dw, db, dy, x, means, scales, weights, size}.run();
      else BackwardGroup<T, P, Norm, 1, false>{to, dw, db, dy, x, means, scales, weights, size}.run();
      row += 1;
    }
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA

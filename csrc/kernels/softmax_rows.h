// Softmax along contiguous rows. Included by softmax.h.
#pragma once

namespace rusttorch::RUSTTORCH_ISA {

// One vector per lane of the accumulators: 16 consecutive elements (double: 8).
template <class T>
struct Line {
  using V = Vec<Compute<T>>;
  static constexpr int size = kAccumulators<Compute<T>>, vectors = size / V::lanes;
  V v[vectors];
};

// How the last, incomplete line of a row is read and written: partially, or past the row's end. A partial store costs
// about 20 cycles on Zen 3, so all rows but the last few are overrun: what is read there is replaced, what is written
// there the next row overwrites. Nothing passes the end of the last row: what follows may be another thread's.
// This is the number of rows that may be overrun.
template <class T>
RUSTTORCH_INLINE int64_t rows_to_overrun(int64_t rows, int64_t size) {
  const int64_t padded = (size + Line<T>::size - 1) / Line<T>::size * Line<T>::size;
  return rows * size < padded ? 0 : (rows * size - padded) / size + 1;
}

template <class T>
RUSTTORCH_INLINE Line<T> load_line(const T* p) {
  Line<T> line;
#pragma GCC unroll 4
  for (int k = 0; k < Line<T>::vectors; ++k) line.v[k] = Line<T>::V::load(p + k * Line<T>::V::lanes);
  return line;
}
// The first n elements, and `fill` in place of the others. Also for n <= 0.
template <class T>
RUSTTORCH_INLINE Line<T> load_line(const T* p, int64_t n, Compute<T> fill, bool overrun) {
  using V = typename Line<T>::V;
  Line<T> line;
#pragma GCC unroll 4
  for (int k = 0; k < Line<T>::vectors; ++k) {
    const int64_t left = n - k * V::lanes, count = left < 0 ? 0 : left > V::lanes ? V::lanes : left;
    const V loaded = overrun ? V::load(p + k * V::lanes) : V::load(p + k * V::lanes, count);
    line.v[k] = select(first_lanes<Compute<T>>(count), loaded, V(fill));
  }
  return line;
}
template <class T>
RUSTTORCH_INLINE void store_line(T* p, const Line<T>& line) {
#pragma GCC unroll 4
  for (int k = 0; k < Line<T>::vectors; ++k) line.v[k].store(p + k * Line<T>::V::lanes);
}
template <class T>
RUSTTORCH_INLINE void store_line(T* p, const Line<T>& line, int64_t n, bool overrun) {
  constexpr int lanes = Line<T>::V::lanes;
#pragma GCC unroll 4
  for (int k = 0; k < Line<T>::vectors; ++k) {
    const int64_t left = n - k * lanes;
    if (overrun || left >= lanes) line.v[k].store(p + k * lanes);
    else if (left > 0) line.v[k].store(p + k * lanes, left);
  }
}

// One vector whose lanes add up to a row's sum: the additions across lanes wait for each other, so all rows of a batch
// make them together, later.
template <class T>
using PartialSum = Vec<Compute<T>>;

template <class T>
struct RowSum {  // in the order of softmax.h
  using V = typename Line<T>::V;
  static constexpr int vectors = Line<T>::vectors;
  V block[vectors];
  Total<V> total{V(0), V(0)};

  RUSTTORCH_INLINE RowSum() { clear(); }
  RUSTTORCH_INLINE void clear() {
    for (int k = 0; k < vectors; ++k) block[k] = V(0);
  }
  RUSTTORCH_INLINE void end_block() {
    add_to_total(total, V(reduce_add(add_by_halves(block))));
    clear();
  }
  // Of a row of one block the total is the block's sum, rounded by nothing else.
  RUSTTORCH_INLINE V partial(int64_t row_size) {
    using C = Compute<T>;
    if (row_size <= kBlock<C>) return add_by_halves(block);
    return select(first_lanes<C>(1), value_of(total), V(0));
  }
};

// max_number drops a NaN, which then makes the sum NaN: the result is the same, with one instruction a vector.
template <class T>
RUSTTORCH_INLINE Compute<T> row_max(const T* in, int64_t size, bool overrun) {
  using V = Vec<Compute<T>>;
  const Compute<T> lowest = -std::numeric_limits<Compute<T>>::infinity();
  constexpr int count = Line<T>::vectors < 4 ? 4 : Line<T>::vectors;  // enough to keep both load ports busy
  V max[count];
  for (int k = 0; k < count; ++k) max[k] = V(lowest);
  int64_t i = 0;
  for (; i + count * V::lanes <= size; i += count * V::lanes) {
    for (int k = 0; k < count; ++k) max[k] = max_number(V::load(in + i + k * V::lanes), max[k]);
  }
  for (; i < size; i += Line<T>::size) {
    const Line<T> line = load_line(in + i, size - i, lowest, overrun);
    for (int k = 0; k < Line<T>::vectors; ++k) max[k] = max_number(line.v[k], max[k]);
  }
  for (int k = 1; k < count; ++k) max[0] = max_number(max[k], max[0]);
  return reduce_max_number(max[0]);
}

template <class T>
RUSTTORCH_INLINE void exponentials_of(Line<T>& line, Vec<Compute<T>> max) {
  for (int k = 0; k < Line<T>::vectors; ++k) line.v[k] = shifted_exponential(line.v[k], max);
}

// Where the line is to be when it is needed: never a fault, whatever the address.
enum class Cache { none, first, second };
template <Cache level>
RUSTTORCH_INLINE void prefetch(const void* p) {
  __builtin_prefetch(p, 0, level == Cache::first ? 3 : 2);
}

// The sum of a row's shifted exponentials, which also go to `kept` if the result is made from them: whole lines if
// overrun. Meanwhile ahead[0, size) is fetched.
template <class T, bool keep, Cache level = Cache::none>
RUSTTORCH_INLINE PartialSum<T> row_sum(Compute<T>* kept, const T* in, int64_t size, bool overrun, Vec<Compute<T>> max,
                                       const T* ahead = nullptr) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int line_size = Line<T>::size, vectors = Line<T>::vectors;
  RowSum<T> sum;
  for (int64_t start = 0; start < size; start += kBlock<C>) {
    const int64_t end = start + kBlock<C> < size ? start + kBlock<C> : size;
    int64_t i = start;
    for (; i + line_size <= end; i += line_size) {
      if constexpr (level != Cache::none) prefetch<level>(ahead + i);
      Line<T> line = load_line(in + i);
      exponentials_of(line, max);
      for (int k = 0; k < vectors; ++k) sum.block[k] = sum.block[k] + line.v[k];
      if constexpr (keep) {
        for (int k = 0; k < vectors; ++k) line.v[k].store(kept + i + k * V::lanes);
      }
    }
    if (i < end) {
      Line<T> line = load_line(in + i, end - i, -std::numeric_limits<C>::infinity(), overrun);
      exponentials_of(line, max);
      for (int k = 0; k < vectors; ++k) sum.block[k] = sum.block[k] + line.v[k];
      if constexpr (keep) {
        Line<C> whole;
        for (int k = 0; k < vectors; ++k) whole.v[k] = line.v[k];
        store_line(kept + i, whole, end - i, overrun);
      }
    }
    if (size > kBlock<C>) sum.end_block();
  }
  return sum.partial(size);
}

// The result of a row from the exponentials (keep) or from the input.
template <class T, template <class> class Functor, bool keep>
RUSTTORCH_INLINE void row_result(T* out, const T* in, const Compute<T>* kept, int64_t size, bool overrun,
                                 Vec<Compute<T>> max, Vec<Compute<T>> factor) {
  using C = Compute<T>;
  using F = Functor<Vec<C>>;
  constexpr int line_size = Line<T>::size, vectors = Line<T>::vectors;
  for (int64_t i = 0; i < size; i += line_size) {
    const int64_t n = size - i;
    Line<T> line;
    if constexpr (keep) {
      const Line<C> whole = n >= line_size ? load_line(kept + i) : load_line(kept + i, n, C(0), overrun);
      for (int k = 0; k < vectors; ++k) line.v[k] = F::result(whole.v[k], factor);
    } else {
      line = n >= line_size ? load_line(in + i) : load_line(in + i, n, C(0), overrun);
      for (int k = 0; k < vectors; ++k) line.v[k] = F::result(line.v[k], max, factor);
    }
    if (n >= line_size) store_line(out + i, line);
    else store_line(out + i, line, n, overrun);
  }
}

// [rows][size] -> the same, rows <= lanes: all maxima, then all sums, then all results, because the three of one row wait
// for each other, 100 cycles of nothing in a row of 128. Exponentials are kept in kept + row * kept_stride, whole lines
// if overrun; may be `out` for a single row.
template <class T, template <class> class Functor, bool keep>
RUSTTORCH_INLINE void softmax_batch(T* out, const T* in, int64_t rows, int64_t size, int64_t overrun, Compute<T>* kept,
                                    int64_t kept_stride) {
  using C = Compute<T>;
  using V = Vec<C>;
  C max[V::lanes] = {}, sum[V::lanes], factor[V::lanes], partial[V::lanes * V::lanes];
  for (int k = 0; k < V::lanes; ++k) sum[k] = 1;
  for (int64_t row = 0; row < rows; ++row) max[row] = row_max(in + row * size, size, row < overrun);
  for (int64_t row = 0; row < rows; ++row) {
    row_sum<T, keep>(kept + row * kept_stride, in + row * size, size, row < overrun, V(max[row]))
        .store(partial + row * V::lanes);
  }
  for (int64_t row = 0; row < rows; ++row) sum[row] = reduce_add(V::load(partial + row * V::lanes));
  Functor<V>::factor(V::load(sum)).store(factor);
  for (int64_t row = 0; row < rows; ++row) {
    row_result<T, Functor, keep>(out + row * size, in + row * size, kept + row * kept_stride, size, row < overrun,
                                 V(max[row]), V(factor[row]));
  }
}

// Rows of `lines` lines, the last of them perhaps incomplete, in batches of one row per lane: a row's maximum, sum and
// factor wait for each other, so all maxima and sums come first, and the factors are computed together.
template <class T, int lines>
struct ShortRow {
  using C = Compute<T>;
  using V = Vec<C>;
  static constexpr int line_size = Line<T>::size, vectors = Line<T>::vectors;
  Line<T> line[lines];

  RUSTTORCH_INLINE ShortRow(const T* in, int64_t size, C fill) {
#pragma GCC unroll 4
    for (int i = 0; i < lines - 1; ++i) line[i] = load_line(in + i * line_size);
    line[lines - 1] = load_line(in + (lines - 1) * line_size, size - (lines - 1) * line_size, fill, true);
  }
};

// Maximum and sum of the shifted exponentials, which go to `kept` if the result is made from them.
template <class T, template <class> class Functor, int lines>
RUSTTORCH_INLINE void short_row_sum(const T* in, int64_t size, Compute<T>* kept, Compute<T>* max_out,
                                    Compute<T>* sum_out) {
  using Row = ShortRow<T, lines>;
  using V = typename Row::V;
  const Compute<T> lowest = -std::numeric_limits<Compute<T>>::infinity();
  const Row row(in, size, lowest);
  V largest[Row::vectors], sum[Row::vectors];
#pragma GCC unroll 4
  for (int k = 0; k < Row::vectors; ++k) {
    largest[k] = V(lowest);
#pragma GCC unroll 4
    for (int i = 0; i < lines; ++i) largest[k] = max_number(row.line[i].v[k], largest[k]);
  }
#pragma GCC unroll 4
  for (int k = 1; k < Row::vectors; ++k) largest[0] = max_number(largest[k], largest[0]);
  const Compute<T> max = reduce_max_number(largest[0]);
#pragma GCC unroll 4
  for (int k = 0; k < Row::vectors; ++k) sum[k] = V(0);
#pragma GCC unroll 4
  for (int i = 0; i < lines; ++i) {
#pragma GCC unroll 4
    for (int k = 0; k < Row::vectors; ++k) {
      const V exponential = shifted_exponential(row.line[i].v[k], V(max));
      sum[k] = sum[k] + exponential;
      if constexpr (Functor<V>::from_exponentials) exponential.store(kept + i * Row::line_size + k * V::lanes);
    }
  }
  *max_out = max;
  *sum_out = reduce_add(add_by_halves(sum));
}

template <class T, template <class> class Functor, int lines>
RUSTTORCH_INLINE void short_row_result(T* out, const T* in, const Compute<T>* kept, Compute<T> max, Compute<T> factor) {
  using Row = ShortRow<T, lines>;
  using V = typename Row::V;
  using F = Functor<V>;
#pragma GCC unroll 4
  for (int i = 0; i < lines; ++i) {
#pragma GCC unroll 4
    for (int k = 0; k < Row::vectors; ++k) {
      const int at = i * Row::line_size + k * V::lanes;
      if constexpr (F::from_exponentials) F::result(V::load(kept + at), V(factor)).store(out + at);
      else F::result(V::load(in + at), V(max), V(factor)).store(out + at);
    }
  }
}

template <class T, template <class> class Functor, int lines>
void softmax_short_rows(T* out, const T* in, int64_t rows, int64_t size) {
  using C = Compute<T>;
  using V = Vec<C>;
  constexpr int batch = V::lanes, padded = lines * Line<T>::size;
  C max[batch], sum[batch], factor[batch], kept[batch * padded];
  T in_copy[padded], out_copy[padded];  // stand in for a row that may not be overrun
  const int64_t overrun = rows_to_overrun<T>(rows, size);
  for (int k = 0; k < batch; ++k) sum[k] = 1;
  for (int64_t first = 0; first < rows; first += batch) {
    const int64_t end = first + batch < rows ? first + batch : rows;
    for (int64_t row = first; row < end; ++row) {
      const T* from = in + row * size;
      if (row >= overrun) from = static_cast<const T*>(std::memcpy(in_copy, from, size_t(size) * sizeof(T)));
      const int64_t k = row - first;
      short_row_sum<T, Functor, lines>(from, size, kept + k * padded, max + k, sum + k);
    }
    Functor<V>::factor(V::load(sum)).store(factor);
    for (int64_t row = first; row < end; ++row) {
      const T* from = in + row * size;
      T* const to = row < overrun ? out + row * size : out_copy;
      if (row >= overrun) from = static_cast<const T*>(std::memcpy(in_copy, from, size_t(size) * sizeof(T)));
      const int64_t k = row - first;
      short_row_result<T, Functor, lines>(to, from, kept + k * padded, max[k], factor[k]);
      if (row >= overrun) std::memcpy(out + row * size, out_copy, size_t(size) * sizeof(T));
    }
  }
}

// out, in: [rows][size].
template <class T, template <class> class Functor>
void softmax_rows(void* out_, const void* in_, int64_t rows, int64_t size) {
  using C = Compute<T>;
  T* const out = static_cast<T*>(out_);
  const T* const in = static_cast<const T*>(in_);
  constexpr int line_size = Line<T>::size;
  if constexpr (Line<T>::vectors <= 4) {
    if (size <= line_size) return softmax_short_rows<T, Functor, 1>(out, in, rows, size);
    if (size <= 2 * line_size) return softmax_short_rows<T, Functor, 2>(out, in, rows, size);
    if (size <= 3 * line_size) return softmax_short_rows<T, Functor, 3>(out, in, rows, size);
    if (size <= 4 * line_size) return softmax_short_rows<T, Functor, 4>(out, in, rows, size);
  }
  // Rows that fit the first-level cache together go in batches; their exponentials are kept on the stack. Those of a
  // longer row are kept in the result, where that is wide enough for them.
  constexpr bool wide = std::is_same_v<T, C>, keep = Functor<Vec<C>>::from_exponentials;
  constexpr int64_t scratch_size = 4096;
  C scratch[keep ? scratch_size + line_size : 1];
  const int64_t padded = (size + line_size - 1) / line_size * line_size, overrun = rows_to_overrun<T>(rows, size);
  if (padded > scratch_size) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = row * size;
      if constexpr (keep && wide)
        softmax_batch<T, Functor, true>(out + at, in + at, 1, size, overrun - row, out + at, 0);
      else softmax_batch<T, Functor, false>(out + at, in + at, 1, size, overrun - row, scratch, 0);
    }
    return;
  }
  const int64_t fitting = scratch_size / padded, batch = fitting < Vec<C>::lanes ? fitting : Vec<C>::lanes;
  for (int64_t row = 0; row < rows; row += batch) {
    const int64_t count = row + batch < rows ? batch : rows - row, at = row * size;
    softmax_batch<T, Functor, keep>(out + at, in + at, count, size, overrun - row, scratch, keep ? padded : 0);
  }
}

// The sum of a row's terms of the gradient.
template <class T, template <class> class Functor>
RUSTTORCH_INLINE PartialSum<T> row_sum_backward(const T* grad_output, const T* output, int64_t size, bool overrun) {
  using C = Compute<T>;
  using V = Vec<C>;
  using F = Functor<V>;
  constexpr int line_size = Line<T>::size, vectors = Line<T>::vectors;
  RowSum<T> sum;
  for (int64_t start = 0; start < size; start += kBlock<C>) {
    const int64_t end = start + kBlock<C> < size ? start + kBlock<C> : size;
    for (int64_t i = start; i < end; i += line_size) {
      const int64_t n = end - i;
      const Line<T> grad = n >= line_size ? load_line(grad_output + i) : load_line(grad_output + i, n, C(0), overrun);
      const Line<T> y = n >= line_size ? load_line(output + i) : load_line(output + i, n, C(0), overrun);
      for (int k = 0; k < vectors; ++k) sum.block[k] = F::add_term(sum.block[k], grad.v[k], y.v[k]);
    }
    if (size > kBlock<C>) sum.end_block();
  }
  return sum.partial(size);
}

template <class T, template <class> class Functor>
RUSTTORCH_INLINE void row_gradient(T* grad_input, const T* grad_output, const T* output, int64_t size, bool overrun,
                                   Vec<Compute<T>> total) {
  using C = Compute<T>;
  using F = Functor<Vec<C>>;
  constexpr int line_size = Line<T>::size, vectors = Line<T>::vectors;
  for (int64_t i = 0; i < size; i += line_size) {
    const int64_t n = size - i;
    Line<T> grad = n >= line_size ? load_line(grad_output + i) : load_line(grad_output + i, n, C(0), overrun);
    const Line<T> y = n >= line_size ? load_line(output + i) : load_line(output + i, n, C(0), overrun);
    for (int k = 0; k < vectors; ++k) grad.v[k] = F::gradient(grad.v[k], y.v[k], total);
    if (n >= line_size) store_line(grad_input + i, grad);
    else store_line(grad_input + i, grad, n, overrun);
  }
}

// grad_input, grad_output, output: [rows][size]. In batches, as softmax_batch.
template <class T, template <class> class Functor>
void softmax_rows_backward(void* grad_input_, const void* grad_output_, const void* output_, int64_t rows,
                           int64_t size) {
  T* const grad_input = static_cast<T*>(grad_input_);
  const T *const grad_output = static_cast<const T*>(grad_output_), *const output = static_cast<const T*>(output_);
  constexpr int64_t largest = 16, elements = 2048;
  const int64_t overrun = rows_to_overrun<T>(rows, size), fitting = size < elements ? elements / size : 1;
  const int64_t batch = fitting < largest ? fitting : largest;
  using V = Vec<Compute<T>>;
  Compute<T> sum[largest], partial[largest * V::lanes];
  for (int64_t first = 0; first < rows; first += batch) {
    const int64_t end = first + batch < rows ? first + batch : rows;
    for (int64_t row = first; row < end; ++row) {
      const int64_t at = row * size;
      row_sum_backward<T, Functor>(grad_output + at, output + at, size, row < overrun)
          .store(partial + (row - first) * V::lanes);
    }
    for (int64_t k = 0; k < end - first; ++k) sum[k] = reduce_add(V::load(partial + k * V::lanes));
    for (int64_t row = first; row < end; ++row) {
      const int64_t at = row * size;
      row_gradient<T, Functor>(grad_input + at, grad_output + at, output + at, size, row < overrun,
                               V(sum[row - first]));
    }
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA

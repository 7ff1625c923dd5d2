// How extremes go to threads: blocks of rows or columns; of few long ones, pieces, whose extremes are combined in order.
#include <cmath>

#include "extremes.h"

namespace rusttorch {
namespace {

// Nanoseconds per float32 element on one core, from the caches.
constexpr double kRowCost = 0.04, kColumnCost = 0.1, kTinyCost = 0.3;
// Results that one call of a kernel gives at most, where they need room on the stack; columns that go to a thread.
constexpr int64_t kResults = 512;
constexpr int64_t kPieceElements = 32768, kMostPieces = 128;
// Elements of a row that is worth it to be shared by threads, however many rows there are.
constexpr int64_t kLongRow = 524288;
// Rows of at most so many elements, or short columns of at most so many, go to the kernels of tiny matrices.
constexpr int64_t kTinyRow = 8, kTinyColumn = 32, kTinyInner = 8;
// Fewer columns than a few vectors hold: several rows side by side are one, and each column has that many candidates.
constexpr int64_t kNarrow = 32, kNarrowWidth = 64;

double value_at(const char* values, int64_t i, int dtype) {
  switch (dtype) {
    case kFloat32: return reinterpret_cast<const float*>(values)[i];
    case kFloat64: return reinterpret_cast<const double*>(values)[i];
    case kBFloat16: return reinterpret_cast<const c10::BFloat16*>(values)[i];
    default: return reinterpret_cast<const c10::Half*>(values)[i];
  }
}

// Whether `next`, from later places, takes the place of `best`.
bool takes_over(double next, double best, bool smallest) {
  if (std::isnan(best)) return false;
  return std::isnan(next) || (smallest ? next < best : next > best);
}

struct Run {
  const ReductionStep& shape;
  const ExtremeKernels kernel;
  const int dtype;
  const int64_t bytes;
  const char* const in;
  char* const values;  // null: not wanted
  int64_t* const places;

  void copy(int64_t to, const char* from_values, const int64_t* from_places, int64_t from) const {
    if (values) std::copy_n(from_values + from * bytes, bytes, values + to * bytes);
    if (places) places[to] = from_places[from];
  }

  // body(values, places) computes at most kResults results from `at` on.
  template <class Body>
  void write(int64_t at, const Body& body) const {
    alignas(64) char unwanted[kResults * sizeof(double)];
    body(values ? values + at * bytes : unwanted, places ? places + at : nullptr);
  }

  // `count` candidates for each of `width` results, of which the better one counts, or the earlier one.
  void combine(const std::vector<char>& candidates, const std::vector<int64_t>& their_places, int64_t count,
               int64_t width, int64_t at) const {
    for (int64_t c = 0; c < width; ++c) {
      int64_t best = c;
      double best_value = value_at(candidates.data(), best, dtype);
      for (int64_t next = width + c; next < count * width; next += width) {
        const double value = value_at(candidates.data(), next, dtype);
        const bool equal = value == best_value || (std::isnan(value) && std::isnan(best_value));
        if (equal ? their_places[next] < their_places[best] : takes_over(value, best_value, kernel.smallest)) {
          best = next;
          best_value = value;
        }
      }
      copy(at + c, candidates.data(), their_places.data(), best);
    }
  }

  bool from_memory() const { return is_from_memory(shape.outer * shape.size * bytes); }
  void rows() const {
    const bool is_far = from_memory();
    for_each_range(shape.outer, kRowCost * static_cast<double>(shape.size), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row += kResults) {
        const int64_t count = std::min(kResults, end - row);
        write(row, [&](void* to, int64_t* to_places) {
          kernel.rows(to, to_places, in + row * shape.size * bytes, count, shape.size, is_far);
        });
      }
    });
  }
  void shared_row(int64_t row) const {
    const int64_t pieces = (shape.size + kPieceElements - 1) / kPieceElements;
    std::vector<char> partial(pieces * bytes);
    std::vector<int64_t> partial_places(pieces);
    const bool is_far = from_memory();
    for_each_range(pieces, kRowCost * static_cast<double>(kPieceElements), [&](int64_t begin, int64_t end) {
      const int64_t whole = std::min(end, shape.size / kPieceElements), rest = shape.size % kPieceElements;
      const auto find = [&](int64_t first, int64_t rows, int64_t count) {
        kernel.rows(partial.data() + first * bytes, places ? &partial_places[first] : nullptr,
                    in + (row * shape.size + first * kPieceElements) * bytes, rows, count, is_far);
      };
      find(begin, whole - begin, kPieceElements);
      if (whole < end) find(whole, 1, rest);
      for (int64_t k = begin; k < end; ++k) partial_places[k] += k * kPieceElements;
    });
    combine(partial, partial_places, pieces, 1, row);
  }
  void columns() const {
    const int64_t blocks = (shape.inner + kResults - 1) / kResults;
    const double cost = kColumnCost * static_cast<double>(shape.size * std::min(kResults, shape.inner));
    for_each_range(shape.outer * blocks, cost, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t outer = k / blocks, first = k % blocks * kResults;
        const int64_t count = std::min(kResults, shape.inner - first);
        write(outer * shape.inner + first, [&](void* to, int64_t* to_places) {
          kernel.columns(to, to_places, in + (outer * shape.size * shape.inner + first) * bytes, shape.size, count,
                         shape.inner);
        });
      }
    });
  }

  bool is_tiny() const {
    if (shape.outer < 16) return false;
    return shape.inner == 1 ? shape.size <= kTinyRow : shape.inner <= kTinyInner && shape.size <= kTinyColumn;
  }
  void tiny() const {
    const int64_t size = shape.size * shape.inner, most = kResults / shape.inner;
    for_each_range(shape.outer, kTinyCost * static_cast<double>(size), [&](int64_t begin, int64_t end) {
      for (int64_t first = begin; first < end; first += most) {
        const int64_t count = std::min(most, end - first);
        write(first * shape.inner, [&](void* to, int64_t* to_places) {
          kernel.tiny(to, to_places, in + first * size * bytes, count, shape.size, shape.inner);
        });
      }
    });
  }

  bool is_tall() const {
    return shape.outer == 1 && shape.inner <= kResults && shape.size * shape.inner >= 4 * kPieceElements;
  }
  void tall_columns() const {
    const int64_t side = shape.inner <= kNarrow ? kNarrowWidth / shape.inner : 1;  // rows side by side
    const int64_t width = shape.inner * side;
    const int64_t rows = std::max(kPieceElements / width, shape.size / (kMostPieces * side)) * side;
    const int64_t pieces = (shape.size + rows - 1) / rows;
    std::vector<char> candidates((pieces + 1) * width * bytes);
    std::vector<int64_t> their_places((pieces + 1) * width);
    for_each_range(pieces, kColumnCost * static_cast<double>(kPieceElements), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        find_candidates(candidates.data() + k * width * bytes, their_places.data() + k * width, k * rows,
                        std::min(rows, shape.size - k * rows), side);
      }
    });
    combine(candidates, their_places, pieces * side, shape.inner, 0);
  }
  // The candidates of `count` rows from `first` on, [side][inner]. The last rows may be too few to lie side by side: what
  // they have takes part in the competition of the first of those places.
  void find_candidates(char* to, int64_t* to_places, int64_t first, int64_t count, int64_t side) const {
    const int64_t width = shape.inner * side, high = count / side, rest = count - high * side;
    const char* const from = in + first * shape.inner * bytes;
    if (high > 0) {
      kernel.columns(to, places ? to_places : nullptr, from, high, width, width);
      for (int64_t c = 0; places && c < width; ++c) to_places[c] = first + to_places[c] * side + c / shape.inner;
    }
    if (rest == 0) return;
    alignas(64) char values_of_rest[kNarrow * sizeof(double)];
    int64_t places_of_rest[kNarrow] = {};
    kernel.columns(values_of_rest, places ? places_of_rest : nullptr, from + high * width * bytes, rest, shape.inner,
                   shape.inner);
    for (int64_t c = 0; c < shape.inner; ++c) {
      if (places) places_of_rest[c] += first + high * side;
      if (high > 0 && !takes_over(value_at(values_of_rest, c, dtype), value_at(to, c, dtype), kernel.smallest))
        continue;
      std::copy_n(values_of_rest + c * bytes, bytes, to + c * bytes);
      to_places[c] = places_of_rest[c];
    }
    if (high > 0) return;
    for (int64_t c = shape.inner; c < width; ++c) {  // a candidate more than once
      std::copy_n(to + c % shape.inner * bytes, bytes, to + c * bytes);
      to_places[c] = to_places[c % shape.inner];
    }
  }

  void run() const {
    const bool is_long = shape.inner == 1 && shape.size > 4 * kPieceElements;
    if (is_long && (shape.size > kLongRow || shape.outer < at::get_num_threads())) {
      for (int64_t row = 0; row < shape.outer; ++row) shared_row(row);
    } else if (is_tiny()) {
      tiny();
    } else if (shape.inner == 1) {
      rows();
    } else if (is_tall()) {
      tall_columns();
    } else {
      columns();
    }
  }
};

}  // namespace

ExtremeKernels extreme_kernels(bool smallest, int dtype) {
  const KernelTable& table = kernels();
  if (smallest) return {table.min_rows[dtype], table.min_columns[dtype], table.min_tiny[dtype], true};
  return {table.max_rows[dtype], table.max_columns[dtype], table.max_tiny[dtype], false};
}

void find_extremes(const ReductionShape& shape, bool smallest, void* values, int64_t* places) {
  const at::ScalarType type = shape.input.scalar_type();
  const int dtype = dtype_index(type);
  const ExtremeKernels kernel = extreme_kernels(smallest, dtype);
  const int64_t bytes = shape.input.element_size();
  Tensor from = shape.input, to;
  const ReductionStep* step = &shape;
  for (size_t k = 0; k <= shape.later.size(); ++k) {
    const bool last = k == shape.later.size();
    if (!last) to = empty_result({step->outer * step->inner}, type);
    Run{*step,
        kernel,
        dtype,
        bytes,
        static_cast<const char*>(from.const_data_ptr()),
        static_cast<char*>(last ? values : to.data_ptr()),
        places}
        .run();
    from = to;
    if (!last) step = &shape.later[k];
  }
}

}  // namespace rusttorch

// How extremes go to threads: blocks of rows or columns; of few long ones, pieces, whose extremes are combined in order.
#include <cmath>

#include "extremes.h"

namespace rusttorch {
namespace {

// Nanoseconds per float32 element on one core, from the caches.
constexpr double kRowCost = 0.04, kColumnCost = 0.1;
// Results that one call of a kernel gives at most, where they need room on the stack; columns that go to a thread.
constexpr int64_t kResults = 512;
constexpr int64_t kPieceElements = 32768, kPieceRows = 8192;

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
  const ReductionShape& shape;
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

  // `pieces` partial results of `width` columns each, combined in order.
  void combine(const std::vector<char>& partial, const std::vector<int64_t>& partial_places, int64_t pieces,
               int64_t width, int64_t at) const {
    for (int64_t c = 0; c < width; ++c) {
      int64_t best = c;
      for (int64_t k = 1; k < pieces; ++k) {
        const int64_t next = k * width + c;
        if (takes_over(value_at(partial.data(), next, dtype), value_at(partial.data(), best, dtype), kernel.smallest)) {
          best = next;
        }
      }
      copy(at + c, partial.data(), partial_places.data(), best);
    }
  }

  void rows() const {
    for_each_range(shape.outer, kRowCost * static_cast<double>(shape.size), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row += kResults) {
        const int64_t count = std::min(kResults, end - row);
        write(row, [&](void* to, int64_t* to_places) {
          kernel.rows(to, to_places, in + row * shape.size * bytes, count, shape.size);
        });
      }
    });
  }
  void shared_row(int64_t row) const {
    const int64_t pieces = (shape.size + kPieceElements - 1) / kPieceElements;
    std::vector<char> partial(pieces * bytes);
    std::vector<int64_t> partial_places(pieces);
    for_each_range(pieces, kRowCost * static_cast<double>(kPieceElements), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t start = k * kPieceElements, count = std::min(kPieceElements, shape.size - start);
        kernel.rows(partial.data() + k * bytes, places ? &partial_places[k] : nullptr,
                    in + (row * shape.size + start) * bytes, 1, count);
        partial_places[k] += start;
      }
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
  void tall_columns() const {
    const int64_t width = shape.inner, pieces = (shape.size + kPieceRows - 1) / kPieceRows;
    std::vector<char> partial(pieces * width * bytes);
    std::vector<int64_t> partial_places(pieces * width);
    for_each_range(pieces, kColumnCost * static_cast<double>(kPieceRows * width), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t start = k * kPieceRows;
        int64_t* const to = partial_places.data() + k * width;
        kernel.columns(partial.data() + k * width * bytes, to, in + start * width * bytes,
                       std::min(kPieceRows, shape.size - start), width, width);
        for (int64_t c = 0; c < width; ++c) to[c] += start;
      }
    });
    combine(partial, partial_places, pieces, width, 0);
  }
};

}  // namespace

ExtremeKernels extreme_kernels(bool smallest, int dtype) {
  const KernelTable& table = kernels();
  if (smallest) return {table.min_rows[dtype], table.min_columns[dtype], true};
  return {table.max_rows[dtype], table.max_columns[dtype], false};
}

void find_extremes(const ReductionShape& shape, bool smallest, void* values, int64_t* places) {
  const int dtype = dtype_index(shape.input.scalar_type());
  const Run run{shape,
                extreme_kernels(smallest, dtype),
                dtype,
                static_cast<int64_t>(shape.input.element_size()),
                static_cast<const char*>(shape.input.const_data_ptr()),
                static_cast<char*>(values),
                places};
  if (shape.inner == 1 && shape.size > 4 * kPieceElements && shape.outer < at::get_num_threads()) {
    for (int64_t row = 0; row < shape.outer; ++row) run.shared_row(row);
  } else if (shape.inner == 1) {
    run.rows();
  } else if (shape.outer == 1 && shape.inner <= kResults && shape.size > 2 * kPieceRows) {
    run.tall_columns();
  } else {
    run.columns();
  }
}

}  // namespace rusttorch

// Runs the kernels of the elementwise losses: see loss.h.
#include "torch_headers.h"

#include "loss.h"

#include <ATen/MemoryOverlap.h>

#include "factors.h"
#include "pieces.h"

namespace rusttorch {
namespace {

const char* bytes_of(const Tensor& tensor) { return static_cast<const char*>(tensor.const_data_ptr()); }

// Whether a kernel can read these factors: they broadcast to `self`, whose elements it walks in their order.
bool is_ours(const Tensor* factors, const Tensor& self, Decision& reason) {
  if (!factors) return true;
  reason = Decision::dtype;
  if (factors->scalar_type() != self.scalar_type()) return false;
  reason = Decision::layout;
  return self.is_contiguous() && expands_to(*factors, self.sizes());
}
// True when our kernels serve `self` and `target`; `reason` says why not.
bool is_ours(const LossPlan& plan, const Tensor& self, const Tensor& target, const LossCall& call, Decision& reason) {
  const bool known = call.reduction >= at::Reduction::None && call.reduction < at::Reduction::END;
  reason = Decision::arguments;
  if (!plan.elements || !known || self.sizes() != target.sizes()) return false;
  reason = Decision::dtype;
  if (!is_floating_index(dtype_index(self.scalar_type())) || self.scalar_type() != target.scalar_type()) return false;
  return is_ours(call.weight, self, reason) && is_ours(call.pos_weight, self, reason);
}

bool shares_memory(const Tensor& out, const Tensor& other) {
  return at::get_overlap_status(out, other) != at::MemOverlapStatus::No;
}
// `out` needs no more than to be written: it has the result's form and is apart from what is read meanwhile.
bool is_plain_out(const Tensor& out, const Tensor& self, const Tensor& target, const LossCall& call, bool elementwise) {
  if (out.scalar_type() != self.scalar_type()) return false;
  if (elementwise ? !same_dense_layout(self, out) : out.dim() != 0) return false;
  return !shares_memory(out, self) && !shares_memory(out, target) &&
         !(call.weight && shares_memory(out, *call.weight)) &&
         !(call.pos_weight && shares_memory(out, *call.pos_weight));
}

void write_number(const Tensor& result, double value) {
  switch (result.scalar_type()) {
    case at::kDouble: *result.mutable_data_ptr<double>() = value; break;
    case at::kBFloat16: *result.mutable_data_ptr<at::BFloat16>() = static_cast<float>(value); break;
    case at::kHalf: *result.mutable_data_ptr<at::Half>() = static_cast<float>(value); break;
    default: *result.mutable_data_ptr<float>() = static_cast<float>(value);
  }
}
double value_of(const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble: return *tensor.const_data_ptr<double>();
    case at::kBFloat16: return *tensor.const_data_ptr<at::BFloat16>();
    case at::kHalf: return *tensor.const_data_ptr<at::Half>();
    default: return *tensor.const_data_ptr<float>();
  }
}

// `tensor` with the strides of the dense `like`.
Tensor laid_out_like(const Tensor& like, const Tensor& tensor) {
  return same_dense_layout(like, tensor) ? tensor : empty_like_dense(like, tensor.scalar_type()).copy_(tensor);
}

// One number, expanded: its strides have no say in those of a result.
bool is_expanded_number(const Tensor& tensor) {
  for (const int64_t stride : tensor.strides()) {
    if (stride != 0) return false;
  }
  return true;
}
// Whether ATen's gradient has the strides of `self`, where it is not contiguous anyway. That of l1_loss is grad_output *
// sgn(self - target), and all three operands have a say.
bool has_strides_of(const Tensor& self, const LossPlan& plan, const Tensor& grad_output, const Tensor& target) {
  if (!is_dense(self)) return false;
  if (!plan.contiguous_gradient_of_mean) return true;
  if (!self.is_contiguous() && !same_dense_layout(self, target)) return false;
  return same_dense_layout(self, grad_output) || is_expanded_number(grad_output);
}

// What the kernels read, in runs of elements: all at once if it lies in memory, else as many as fit into buffers on the
// stack, where factors that broadcast are written out.
class Reader {
 public:
  Reader(const LossPlan& plan, const Tensor& self, const Tensor& target, const LossCall& call)
      : input_(bytes_of(self)), target_(bytes_of(target)), size_(self.element_size()) {
    if (!call.is_weighted()) return;
    if (!call.weight || (plan.takes_pos_weight && !call.pos_weight)) {
      one_ = empty_result({}, self.scalar_type());
      write_number(one_, 1);
    }
    weight_.emplace(call.weight ? *call.weight : one_, self.sizes());
    if (plan.takes_pos_weight) pos_weight_.emplace(call.pos_weight ? *call.pos_weight : one_, self.sizes());
  }

  // run(inputs, begin, count) for runs that make up [begin, begin + count): a single one if that is a piece of a sum.
  template <class Run>
  void for_each_run(int64_t begin, int64_t count, const Run& run) const {
    if (!weight_) return run(LossInputs{input_ + begin * size_, target_ + begin * size_}, begin, count);
    if (weight_->is_array() && (!pos_weight_ || pos_weight_->is_array())) {
      return run(inputs(begin, count, nullptr, nullptr), begin, count);
    }
    for_each_short_run(begin, count, run);
  }

 private:
  static constexpr int64_t kBufferBytes = kSumPiece<float> * int64_t(sizeof(float));  // 32 KiB, as much as of double

  LossInputs inputs(int64_t begin, int64_t count, char* weight, char* pos_weight) const {
    return {input_ + begin * size_, target_ + begin * size_, weight_->read(begin, count, weight),
            pos_weight_ ? pos_weight_->read(begin, count, pos_weight) : nullptr};
  }
  template <class Run>
  [[gnu::noinline]] void for_each_short_run(int64_t begin, int64_t count, const Run& run) const {
    alignas(64) char buffers[2][kBufferBytes];
    for (const int64_t end = begin + count; begin < end; begin += kBufferBytes / size_) {
      const int64_t short_count = std::min(kBufferBytes / size_, end - begin);
      run(inputs(begin, short_count, buffers[0], buffers[1]), begin, short_count);
    }
  }

  const char *input_, *target_;
  int64_t size_;
  Tensor one_;
  std::optional<Factors> weight_, pos_weight_;
};

// Bytes that are read and written, in multiples of the input's: `arrays` and the factors.
int64_t bytes_moved(int64_t arrays, const Tensor& self, const LossCall& call) {
  return (arrays + (call.weight != nullptr) + (call.pos_weight != nullptr)) * self.numel() * self.element_size();
}
// Reading factors costs as much as a simple loss.
double cost(double nanoseconds, const LossCall& call) { return call.is_weighted() ? nanoseconds + 0.1 : nanoseconds; }

double sum_of_factors(const Reader& reader, int64_t n, int dtype) {
  const SumRowsKernel kernel = kernels().sum_rows[dtype];
  return sum_of_pieces(n, dtype, 0.1, 1, [&](double* piece, int64_t begin, int64_t count) {
    reader.for_each_run(begin, count, [&](const LossInputs& in, int64_t, int64_t length) {
      kernel(piece, in.weight, 1, length, false);
    });
  });
}

// The gradient of a reduced loss for a grad_output of 1, run by run while the inputs are in the cache.
class GradientWriter {
 public:
  GradientWriter(const LossPlan& plan, const Tensor& gradient, const LossCall& call, double divisor)
      : kernel_(plan.backward[dtype_index(gradient.scalar_type())]),
        out_(static_cast<char*>(gradient.data_ptr())),
        size_(gradient.element_size()),
        streams_(bytes_moved(3, gradient, call) > streaming_threshold() &&
                 plan.backward_nanoseconds <= kStreamedNanoseconds) {
    parameters_.a = call.parameter;
    parameters_.c = 1 / divisor;
  }
  void write(const LossInputs& in, int64_t begin, int64_t count) const {
    write_range(out_, begin, begin + count, size_, streams_, [&](char* to, int64_t first, int64_t length) {
      const auto moved = [&](const void* array) {
        return array ? static_cast<const char*>(array) + (first - begin) * size_ : nullptr;
      };
      kernel_(to, nullptr, {moved(in.input), moved(in.target), moved(in.weight), moved(in.pos_weight)}, length,
              parameters_);
    });
    if (streams_) stream_end();
  }

 private:
  LossBackwardKernel kernel_;
  char* out_;
  int64_t size_;
  bool streams_;
  Parameters parameters_;
};

}  // namespace

bool makes_gradient(const LossPlan& plan, const Tensor& self, const Tensor& target, const LossCall& call) {
  // In reduced precision a gradient times a factor is not that of the factor: it rounds twice, and may have vanished.
  if (self.scalar_type() != at::kFloat && self.scalar_type() != at::kDouble) return false;
  Decision reason = Decision::taken;
  if (call.reduction == at::Reduction::None || !is_ours(plan, self, target, call, reason)) return false;
  if (!plan.backward || !same_dense_layout(self, target)) return false;
  const bool mean = call.reduction == at::Reduction::Mean;
  return self.is_contiguous() || !(plan.contiguous_gradient || (plan.contiguous_gradient_of_mean && mean));
}

Tensor loss(DecisionPoint& point, const LossPlan& plan, const Tensor& self, const Tensor& target, const LossCall& call,
            const Tensor* out, Tensor* gradient) {
  const bool elementwise = call.reduction == at::Reduction::None;
  Decision reason = Decision::taken;
  bool ours = is_ours(plan, self, target, call, reason);
  if (ours && !(same_dense_layout(self, target) && (!out || is_plain_out(*out, self, target, call, elementwise)))) {
    reason = Decision::layout;
    ours = false;
  }
  if (!ours) {
    point.count(reason);
    return Tensor();
  }
  const int dtype = dtype_index(self.scalar_type());
  const int64_t n = self.numel(), size = self.element_size();
  const Parameters parameters{.a = call.parameter};
  const Reader reader(plan, self, target, call);
  const double nanoseconds = cost(plan.nanoseconds, call);
  std::atomic<bool> all_defined = true;
  Tensor result;
  if (elementwise) {
    result = out ? *out : empty_like_dense(self, self.scalar_type());
    const LossKernel kernel = plan.elements[dtype];
    write_result(result.data_ptr(), n, size, nanoseconds, bytes_moved(3, self, call),
                 [&](char* to, int64_t first, int64_t total) {
                   reader.for_each_run(first, total, [&](const LossInputs& in, int64_t begin, int64_t count) {
                     if (!kernel(to + (begin - first) * size, in, count, parameters)) all_defined = false;
                   });
                 });
  } else {
    const LossSumKernel kernel = plan.sum[dtype];
    double divisor = 1, per_element = nanoseconds;
    if (call.reduction == at::Reduction::Mean) {
      divisor = plan.divides_by_weights ? sum_of_factors(reader, n, dtype) : static_cast<double>(n);
    }
    std::optional<GradientWriter> writer;
    if (gradient) {
      *gradient = empty_like_dense(self, self.scalar_type());
      writer.emplace(plan, *gradient, call, divisor);
      per_element += plan.backward_nanoseconds;
    }
    // One piece at a time where its gradient is written while it is in the cache.
    const int64_t most = writer ? 1 : n;
    const bool from_memory = is_from_memory(bytes_moved(2, self, call));
    const double sum = sum_of_pieces(n, dtype, per_element, most, [&](double* sums, int64_t first, int64_t total) {
      reader.for_each_run(first, total, [&](const LossInputs& in, int64_t begin, int64_t count) {
        if (!kernel(sums + (begin - first) / sum_piece(dtype), in, count, from_memory, parameters)) {
          all_defined = false;
        }
        if (writer) writer->write(in, begin, count);
      });
    });
    if (all_defined) {
      result = out ? *out : empty_result({}, self.scalar_type());
      write_number(result, sum / divisor);
    }
  }
  if (!all_defined) {  // ATen looks again, and raises in its words
    if (gradient) gradient->reset();
    point.count(Decision::arguments);
    return Tensor();
  }
  point.count(Decision::taken);
  return result;
}

Tensor loss_backward(DecisionPoint& point, const LossPlan& plan, const Tensor& grad_output, const Tensor& self,
                     const Tensor& target, const LossCall& call, const Tensor* grad_input) {
  Decision reason = Decision::taken;
  bool ours = is_ours(plan, self, target, call, reason);
  const bool elementwise = call.reduction == at::Reduction::None, mean = call.reduction == at::Reduction::Mean;
  if (ours && (grad_output.scalar_type() != self.scalar_type() ||
               (elementwise ? grad_output.sizes() != self.sizes() : grad_output.dim() != 0))) {
    reason = Decision::arguments;
    ours = false;
  }
  const bool contiguous = plan.contiguous_gradient || (plan.contiguous_gradient_of_mean && mean);
  if (ours && ((!contiguous && !has_strides_of(self, plan, grad_output, target)) ||
               (call.is_weighted() &&
                !(target.is_contiguous() && (grad_output.is_contiguous() || is_expanded_number(grad_output)))))) {
    reason = Decision::layout;
    ours = false;
  }
  if (ours && grad_input &&
      !((self.is_contiguous() || !contiguous) && is_plain_out(*grad_input, self, target, call, true) &&
        !shares_memory(*grad_input, grad_output))) {
    reason = Decision::layout;
    ours = false;
  }
  if (!point.count(ours ? Decision::taken : reason)) return Tensor();

  const Tensor x = contiguous ? self.contiguous() : self, y = laid_out_like(x, target);
  const int dtype = dtype_index(x.scalar_type());
  const int64_t n = x.numel(), size = x.element_size();
  const Reader reader(plan, x, y, call);
  Tensor result = grad_input ? *grad_input : empty_like_dense(x, x.scalar_type());
  Parameters parameters{.a = call.parameter};
  Tensor array;
  if (elementwise) {
    array = laid_out_like(x, grad_output);
  } else {
    const double divisor = !mean                     ? 1
                           : plan.divides_by_weights ? sum_of_factors(reader, n, dtype)
                                                     : static_cast<double>(n);
    parameters.c = value_of(grad_output) / divisor;
  }
  const char* const grad = elementwise ? bytes_of(array) : nullptr;
  const LossBackwardKernel kernel = plan.backward[dtype];
  write_result(result.data_ptr(), n, size, cost(plan.backward_nanoseconds, call),
               bytes_moved(elementwise ? 4 : 3, x, call), [&](char* to, int64_t first, int64_t total) {
                 reader.for_each_run(first, total, [&](const LossInputs& in, int64_t begin, int64_t count) {
                   kernel(to + (begin - first) * size, grad ? grad + begin * size : nullptr, in, count, parameters);
                 });
               });
  return result;
}

}  // namespace rusttorch

// dropout: the random numbers are our own (kernels/dropout.h), their key is drawn from torch's default generator.
#include "torch_headers.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/bernoulli_ops.h>
#include <ATen/ops/dropout_ops.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/native_dropout_backward_ops.h>
#include <ATen/ops/native_dropout_ops.h>

#include <cmath>
#include <mutex>

#include "autograd.h"
#include "dropout.h"
#include "results.h"

namespace rusttorch {
namespace {

using Dropout = at::_ops::dropout;
using DropoutInplace = at::_ops::dropout_;
using Native = at::_ops::native_dropout;
using Bernoulli = at::_ops::bernoulli__float;
// As ATen computes it; its own form on the meta device is contiguous, that on the CPU has the strides of grad_output.
struct NativeBackward : at::_ops::native_dropout_backward {
  static Tensor call(const Tensor& grad_output, const Tensor& mask, double scale) {
    return at::mul(at::mul(grad_output, mask), scale);
  }
};

// Elements from which on our mask is faster: below, ATen's 3 microseconds are fewer than ours.
constexpr int64_t kFewest = 1024;
// Nanoseconds per element on one AVX2 core.
constexpr double kForwardCost = 0.5, kBackwardCost = 0.15;

DecisionPoint& point() {
  static DecisionPoint& instance = *new DecisionPoint("dropout");
  return instance;
}

// p = 0 and p = 1 draw nothing: ATen's, as is everything that it refuses.
Decision decide(const Tensor& input, double p, bool train) {
  if (!is_floating_index(dtype_index(input.scalar_type()))) return Decision::dtype;
  if (input.layout() != at::kStrided || input.is_neg() || input._is_zerotensor()) return Decision::layout;
  if (!train || !(p > 0 && p < 1) || input.numel() == 0) return Decision::arguments;
  return is_dense(input) ? Decision::taken : Decision::layout;
}

// Moves the generator on by 64 bits, whatever the number of elements.
DropoutParameters draw(double p) {
  auto* const generator =
      at::get_generator_or_default<at::CPUGeneratorImpl>(std::nullopt, at::detail::getDefaultCPUGenerator());
  DropoutParameters parameters;
  {
    const std::lock_guard<std::mutex> lock(generator->mutex_);
    parameters.key = generator->random64();
  }
  const double threshold = std::min(std::nearbyint(p * 0x1p32), 0x1p32 - 1) - 0x1p31;
  parameters.threshold = static_cast<int32_t>(threshold);
  parameters.scale = 1 / (1 - p);
  return parameters;
}

// `mask` may be undefined; `out` may be `input`.
void run(const Tensor& out, const Tensor& mask, const Tensor& input, const DropoutParameters& parameters) {
  static_assert((streamed_at_once(2) | streamed_at_once(4) | streamed_at_once(8)) % kDropoutBlock == 0);
  const DropoutKernel kernel = kernels().dropout[dtype_index(input.scalar_type())];
  const int64_t n = input.numel(), size = int64_t(input.element_size());
  char* const to = static_cast<char*>(out.data_ptr());
  uint8_t* const keep = mask.defined() ? static_cast<uint8_t*>(mask.data_ptr()) : nullptr;
  const char* const from = static_cast<const char*>(input.const_data_ptr());
  const int64_t blocks = (n + kDropoutBlock - 1) / kDropoutBlock;
  const bool streams = !out.is_same(input) && 2 * n * size > streaming_threshold();
  for_each_range(blocks, kForwardCost * kDropoutBlock, [&](int64_t begin, int64_t end) {
    const int64_t last = std::min(n, end * kDropoutBlock);
    write_range(to, begin * kDropoutBlock, last, size, streams, [&](void* result, int64_t first, int64_t count) {
      kernel(result, keep ? keep + first : nullptr, from + first * size, first, count, parameters);
    });
    if (streams) stream_end();
  });
}

struct Dropped {
  Tensor result, mask;
  double scale = 1;
};
Dropped dropped(const Tensor& input, double p) {
  const DropoutParameters parameters = draw(p);
  Dropped out{empty_like_dense(input, input.scalar_type()), empty_like_dense(input, at::kBool), parameters.scale};
  run(out.result, out.mask, input, parameters);
  return out;
}

Tensor cpu(const Tensor& input, double p, bool train) {
  if (!point().count(decide(input, p, train))) return Dropout::call(input, p, train);
  const DropoutParameters parameters = draw(p);
  Tensor result = empty_like_dense(input, input.scalar_type());
  run(result, Tensor(), input, parameters);
  return result;
}
Tensor& inplace_cpu(Tensor& self, double p, bool train) {
  if (!point().count(decide(self, p, train))) return DropoutInplace::call(self, p, train);
  run(self, Tensor(), self, draw(p));
  return self;
}
std::tuple<Tensor, Tensor> native_cpu(const Tensor& input, double p, std::optional<bool> train) {
  static DecisionPoint& native_point = *new DecisionPoint("native_dropout");
  if (!native_point.count(decide(input, p, train.value_or(true)))) return Native::call(input, p, train);
  const Dropped out = dropped(input, p);
  return {out.result, out.mask};
}

Tensor backward_cpu(const Tensor& grad_output, const Tensor& mask, double scale) {
  static DecisionPoint& backward_point = *new DecisionPoint("native_dropout_backward");
  Decision decision = Decision::taken;
  if (!is_floating_index(dtype_index(grad_output.scalar_type())) || mask.scalar_type() != at::kBool) {
    decision = Decision::dtype;
  } else if (!same_dense_layout(grad_output, mask) || grad_output.numel() == 0 || mask.is_neg() ||
             !std::isfinite(scale)) {
    decision = Decision::layout;
  }
  if (!backward_point.count(decision)) return NativeBackward::call(grad_output, mask, scale);
  Tensor result = empty_like_dense(grad_output, grad_output.scalar_type());
  const DropoutBackwardKernel kernel = kernels().dropout_backward[dtype_index(grad_output.scalar_type())];
  const int64_t n = grad_output.numel(), size = int64_t(grad_output.element_size());
  const char* const from = static_cast<const char*>(grad_output.const_data_ptr());
  const uint8_t* const keep = static_cast<const uint8_t*>(mask.const_data_ptr());
  write_result(
      result.data_ptr(), n, size, kBackwardCost, n * (2 * size + 1),
      [&](void* to, int64_t first, int64_t count) { kernel(to, from + first * size, keep + first, count, scale); });
  return result;
}

struct Node : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    if (!grads[0].defined()) return {Tensor()};
    return {handle<NativeBackward>().call(grads[0], mask.unpack(), scale)};
  }
  void release() override { mask.reset_data(); }
  std::string name() const override { return "TorchextDropoutBackward"; }

  torch::autograd::SavedVariable mask;
  double scale = 1;
};

Tensor autograd(c10::DispatchKeySet keys, const Tensor& input, double p, bool train) {
  if (belongs_to_aten<true>(input)) return Dropout::call(input, p, train);
  if (!needs_graph(input)) {
    // ATen returns the input itself where it draws nothing: no kernel below may.
    const Decision decision = decide(input, p, train);
    if (decision != Decision::taken) {
      point().count(decision);
      return Dropout::call(input, p, train);
    }
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Dropout>().redispatch(keys & c10::after_ADInplaceOrView_keyset, input, p, train);
  }
  if (!point().count(decide(input, p, train))) return Dropout::call(input, p, train);
  auto node = new_node<Node>();
  node->set_next_edges(torch::autograd::collect_next_edges(input));
  const Dropped out = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return dropped(input, p);
  }();
  node->mask = torch::autograd::SavedVariable(out.mask, false);
  node->scale = out.scale;
  torch::autograd::set_history(out.result, node);
  return out.result;
}

Tensor& inplace_autograd(c10::DispatchKeySet keys, Tensor& self, double p, bool train) {
  if (belongs_to_aten<true>(self)) return DropoutInplace::call(self, p, train);
  if (!needs_graph(self)) {
    at::AutoDispatchBelowAutograd guard;
    return handle<DropoutInplace>().redispatch(keys & c10::after_autograd_keyset, self, p, train);
  }
  if (!point().count(decide(self, p, train))) return DropoutInplace::call(self, p, train);
  torch::autograd::check_inplace(self, true);
  auto node = new_node<Node>();
  node->set_next_edges(torch::autograd::collect_next_edges(self));
  {
    at::AutoDispatchBelowADInplaceOrView guard;
    const DropoutParameters parameters = draw(p);
    const Tensor mask = empty_like_dense(self, at::kBool);
    run(self, mask, self, parameters);
    node->mask = torch::autograd::SavedVariable(mask, false);
    node->scale = parameters.scale;
  }
  torch::autograd::increment_version(self);
  torch::autograd::rebase_history(self, node);
  return self;
}

}  // namespace

Tensor& random_mask(Tensor& self, double p, std::optional<at::Generator> generator) {
  static DecisionPoint& mask_point = *new DecisionPoint("random_mask");
  // A generator of the caller's promises torch's numbers.
  Decision decision = generator ? Decision::arguments : decide(self, p, true);
  if (self.numel() < kFewest && decision == Decision::taken) decision = Decision::slower;
  if (!mask_point.count(decision)) return Bernoulli::call(self, p, generator);
  DropoutParameters parameters = draw(1 - p);
  parameters.scale = 1;
  constexpr int64_t kChunk = 64 * kDropoutBlock;  // elements: dropout of ones that stay in the L1 cache
  const int64_t n = self.numel(), size = int64_t(self.element_size());
  const Tensor ones = at::full({std::min(n, kChunk)}, 1, self.options());
  const DropoutKernel kernel = kernels().dropout[dtype_index(self.scalar_type())];
  char* const to = static_cast<char*>(self.data_ptr());
  const char* const from = static_cast<const char*>(ones.const_data_ptr());
  for_each_range((n + kChunk - 1) / kChunk, kForwardCost * kChunk, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * kChunk; first < std::min(n, end * kChunk); first += kChunk) {
      kernel(to + first * size, nullptr, from, first, std::min(kChunk, n - first), parameters);
    }
  });
  return self;
}

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  const std::vector<at::Tag> random = {at::Tag::pt2_compliant_tag, at::Tag::nondeterministic_seeded};
  define<Dropout>(library, random);
  implement<Dropout>(library, c10::DispatchKey::CPU, &cpu);
  implement<Dropout>(library, c10::DispatchKey::AutogradCPU, &autograd);
  define<DropoutInplace>(library, random);
  implement<DropoutInplace>(library, c10::DispatchKey::CPU, &inplace_cpu);
  implement<DropoutInplace>(library, c10::DispatchKey::AutogradCPU, &inplace_autograd);
  implement_version_bump<DropoutInplace>(library);
  define<Native>(library, random);
  implement<Native>(library, c10::DispatchKey::CPU, &native_cpu);
  implement_pass_through<Native, true>(library);
  define<NativeBackward>(library);
  implement<NativeBackward>(library, c10::DispatchKey::CPU, &backward_cpu);
  implement_pass_through<NativeBackward, true>(library);
}

}  // namespace rusttorch

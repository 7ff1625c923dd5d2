// bernoulli_(p): torch's own numbers, from the same generator in the same order (kernels/mersenne.h). Dropout is composed
// of it in ATen.
#include "torch_headers.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/bernoulli_cpu_dispatch.h>
#include <ATen/ops/bernoulli_ops.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "autograd.h"

namespace rusttorch {
namespace {

using Bernoulli = at::_ops::bernoulli__float;

// Elements from which on copying the generator's state, of 2.5 KB, costs less than it saves.
constexpr int64_t kFewest = 256;

// False where somebody has set a state that the twister does not reach; nothing is drawn then.
bool draw(const Tensor& self, double p, at::CPUGeneratorImpl& generator) {
  const std::lock_guard<std::mutex> lock(generator.mutex_);
  at::mt19937 engine = generator.engine();
  at::mt19937_data_pod data = engine.data();
  static_assert(std::tuple_size_v<decltype(data.state_)> == MersenneState::kWords);
  MersenneState state;
  std::copy(data.state_.begin(), data.state_.end(), state.words);
  // left_ - 1 words are left; next_ says the same, but for the start, where it is 0.
  state.next = MersenneState::kWords + 1 - data.left_;
  if (data.left_ != 1 && state.next != static_cast<int64_t>(data.next_)) return false;
  kernels().mersenne_bernoulli[dtype_index(self.scalar_type())](self.data_ptr(), state, self.numel(),
                                                                bernoulli_threshold(p));
  std::copy_n(state.words, MersenneState::kWords, data.state_.begin());
  data.next_ = static_cast<uint32_t>(state.next);
  data.left_ = static_cast<int>(MersenneState::kWords + 1 - state.next);
  engine.set_data(data);
  generator.set_engine(engine);
  return true;
}

// Whether torch draws from the twister: on Intel's CPUs, builds with MKL have drawn from a generator of MKL's.
bool torch_draws_as_we_do() {
  static const bool same = [] {
    constexpr double p = 0.3;
    const Tensor theirs = at::empty({2000}), ours = at::empty({2000});
    at::Generator generator = at::detail::createCPUGenerator(20), copy = at::detail::createCPUGenerator(20);
    Tensor written = theirs;
    at::cpu::bernoulli_(written, p, generator);  // the stock kernel, whatever is patched
    const auto state_of = [](const at::Generator& of) { return Tensor(of.getIntrusivePtr()->get_state()); };
    return draw(ours, p, *at::check_generator<at::CPUGeneratorImpl>(copy)) && at::equal(theirs, ours) &&
           at::equal(state_of(generator), state_of(copy));
  }();
  return same;
}

Decision decide(const Tensor& self, double p, const std::optional<at::Generator>& generator) {
  if (!is_floating_index(dtype_index(self.scalar_type()))) return Decision::dtype;
  if (self.layout() != at::kStrided || self.is_neg() || !is_dense(self)) return Decision::layout;
  const bool known = !generator || !generator->defined() || generator->device().is_cpu();
  if (!(p >= 0 && p <= 1) || !known || self.numel() == 0) return Decision::arguments;
  return self.numel() < kFewest || !torch_draws_as_we_do() ? Decision::slower : Decision::taken;
}

// What is not ours goes to the stock kernel by its C++ name: an override may draw other numbers (patch/dropout.cpp).
Tensor& cpu(Tensor& self, double p, std::optional<at::Generator> generator) {
  static DecisionPoint& point = *new DecisionPoint("bernoulli_");
  if (!point.count(decide(self, p, generator))) return at::cpu::bernoulli_(self, p, generator);
  auto* const drawn_from =
      at::get_generator_or_default<at::CPUGeneratorImpl>(generator, at::detail::getDefaultCPUGenerator());
  if (!draw(self, p, *drawn_from)) at::cpu::bernoulli_(self, p, generator);
  return self;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  define<Bernoulli>(library, {at::Tag::pt2_compliant_tag, at::Tag::nondeterministic_seeded});
  implement<Bernoulli>(library, c10::DispatchKey::CPU, &cpu);
  implement_pass_through<Bernoulli, true>(library);
  implement_version_bump<Bernoulli>(library);
}

}  // namespace rusttorch

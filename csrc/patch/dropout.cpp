// Dropout is composed in ATen, attention's in C++; bernoulli_ draws the masks. With patch(random=True) dropout itself is
// redirected in Python, and masks that are drawn in C++ have random numbers of our own, too.
#include "../ops/torch_headers.h"

#include "../ops/dropout.h"
#include "override.h"

#include <ATen/ops/bernoulli_cpu_dispatch.h>
#include <ATen/ops/bernoulli_ops.h>

namespace rusttorch::patch {
namespace {

using Bernoulli = at::_ops::bernoulli__float;

// One kernel of ATen for two rows of the registry: "dropout" goes first, if both are on.
struct Masks {
  static inline Override *random = nullptr, *same = nullptr;

  static Tensor& call(Tensor& self, double p, std::optional<at::Generator> generator) {
    if (!current_counts) {
      if (random->on.load(std::memory_order_relaxed)) return run<&random_mask>(*random, self, p, generator);
      if (same->on.load(std::memory_order_relaxed)) return run<&Own<Bernoulli>::call>(*same, self, p, generator);
    }
    return at::cpu::bernoulli_(self, p, std::move(generator));
  }
  template <Bernoulli::schema* ours>
  static Tensor& run(Override& entry, Tensor& self, double p, std::optional<at::Generator>& generator) {
    entry.calls.fetch_add(1, std::memory_order_relaxed);
    const Scope scope(entry.counts);
    return ours(self, p, std::move(generator));
  }
  static void install(torch::Library& library, const std::string& name) { library.impl(name.c_str(), &call); }
  static void leave_to_the_other(torch::Library&, const std::string&) {}
};

[[maybe_unused]] const bool listed = list({
    Masks::random = new Override("dropout", name_with_overload<Bernoulli>(), &Masks::leave_to_the_other),
    Masks::same = new Override("bernoulli_", name_with_overload<Bernoulli>(), &Masks::install),
});

}  // namespace
}  // namespace rusttorch::patch

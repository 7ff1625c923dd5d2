// How a CPU kernel of ATen is replaced. Registered once, at the first patch(), because the dispatch table is read without a
// lock; from then on a flag says whether a call is ours or goes to the stock kernel, which stays reachable by its C++ name.
#pragma once
#include <torch/library.h>

#include <atomic>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "../ops/registration.h"
#include "scope.h"

namespace rusttorch::patch {

// One replaced operator; lives for the whole process.
struct Override {
  const char* row;   // of the registry: "gelu" for gelu, gelu_, gelu.out and gelu_backward
  std::string name;  // in ATen, with the overload: "gelu.out"
  void (*install)(torch::Library&, const std::string& name);
  std::atomic<bool> on{false};
  std::atomic<bool> installed{false};  // false after install_all(): another library had replaced the kernel before
  std::atomic<int64_t> calls{0};       // while on
  Counts counts{};

  Override(const char* row_, std::string name_, void (*install_)(torch::Library&, const std::string&))
      : row(row_), name(std::move(name_)), install(install_) {}
};

// What runs for rusttorch's operator of the same schema.
template <class Aten, class Signature = typename Aten::schema>
struct Own;
template <class Aten, class Result, class... Args>
struct Own<Aten, Result(Args...)> {
  static Result call(Args... args) {
    return handle<Aten>().redispatch(c10::DispatchKeySet(c10::DispatchKey::CPU), std::forward<Args>(args)...);
  }
};

template <class Aten, typename Aten::schema* stock, typename Aten::schema* ours, class Signature>
struct Kernel;
template <class Aten, typename Aten::schema* stock, typename Aten::schema* ours, class Result, class... Args>
struct Kernel<Aten, stock, ours, Result(Args...)> {
  static inline Override* state = nullptr;

  // Inside an override, what ours calls is stock: an operator that declines an input calls ATen's again, and arrives here.
  static Result call(Args... args) {
    if (!state->on.load(std::memory_order_relaxed) || current_counts) return stock(std::forward<Args>(args)...);
    state->calls.fetch_add(1, std::memory_order_relaxed);
    const Scope scope(state->counts);
    return ours(std::forward<Args>(args)...);
  }
  static void install(torch::Library& library, const std::string& name) { library.impl(name.c_str(), &call); }
};

// The override of `Aten` for a row of the registry: `stock` is its kernel in namespace at::cpu, `ours` what replaces it.
template <class Aten, typename Aten::schema* stock, typename Aten::schema* ours = &Own<Aten>::call>
Override* replace(const char* row) {
  using This = Kernel<Aten, stock, ours, typename Aten::schema>;
  This::state = new Override(row, name_with_overload<Aten>(), &This::install);
  return This::state;
}

// Adds to the list of all overrides, at load time; true.
bool list(std::initializer_list<Override*> overrides);
const std::vector<Override*>& all();

// Registers what no other library has replaced. Only the first call does anything.
void install_all();
// Whether the kernel that runs now is another library's, registered after ours.
bool is_shadowed(const Override& entry);

}  // namespace rusttorch::patch

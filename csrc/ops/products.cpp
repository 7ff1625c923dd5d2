// mm, addmm, bmm, baddbmm, in place and with out=: float32, float64, int32 and int64 by our own kernels, from any
// strides; others by way of these (widening.h). Scaled summands (alpha other than 1, beta other than 0 and 1), products
// with an empty dimension and all other dtypes are ATen's.
#include "torch_headers.h"

#include <ATen/ExpandUtils.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/ops/addmm_ops.h>
#include <ATen/ops/baddbmm_ops.h>
#include <ATen/ops/bmm_ops.h>
#include <ATen/ops/mm_ops.h>

#include "autograd.h"
#include "gemm.h"
#include "product_choice.h"
#include "results.h"
#include "widening.h"

namespace rusttorch {
namespace {

// a [batch, ]rows x k, b [batch, ]k x columns and what is added to their product: nothing where beta is 0.
struct Operands {
  const Tensor &a, &b;
  const Tensor* summand = nullptr;

  int64_t batch() const { return a.dim() == 3 ? a.size(0) : 1; }
  int64_t rows() const { return a.size(-2); }
  int64_t columns() const { return b.size(-1); }
  c10::SmallVector<int64_t, 3> sizes() const {
    if (a.dim() == 3) return {a.size(0), rows(), columns()};
    return {rows(), columns()};
  }
};

bool is_plain(const Tensor& tensor) { return tensor.layout() == at::kStrided && !tensor.is_neg(); }

template <bool batched>
Decision decide(const Operands& o) {
  constexpr int64_t dims = batched ? 3 : 2;
  const at::ScalarType type = o.a.scalar_type();
  if (gemm_index(type) < 0) return Decision::dtype;
  if (o.b.scalar_type() != type || (o.summand && o.summand->scalar_type() != type)) return Decision::dtype;
  if (!is_plain(o.a) || !is_plain(o.b) || (o.summand && !is_plain(*o.summand))) return Decision::layout;
  if (o.a.dim() != dims || o.b.dim() != dims || o.a.size(-1) != o.b.size(-2)) return Decision::arguments;
  if (batched && o.a.size(0) != o.b.size(0)) return Decision::arguments;
  if (o.a.numel() == 0 || o.b.numel() == 0) return Decision::arguments;
  if (o.summand && !at::is_expandable_to(o.summand->sizes(), o.sizes())) return Decision::arguments;
  if (torch_is_faster(gemm_index(type), o.rows(), o.a.size(-1), o.columns(), o.a.stride(-1) != 1,
                      o.b.stride(-1) != 1)) {
    return Decision::slower;
  }
  return Decision::taken;
}

// True for alpha = 1 and beta = 0 or 1; then `summand` is set, or not.
bool takes_scales(Operands& o, const Tensor& self, const Scalar& beta, const Scalar& alpha) {
  const auto is = [](const Scalar& scalar, double value) {
    return !scalar.isSymbolic() && !scalar.isComplex() && scalar.toDouble() == value;
  };
  if (is(beta, 1)) o.summand = &self;
  return is(alpha, 1) && (is(beta, 1) || is(beta, 0));
}

// Writes the product to `out`, which has its sizes and unit columns.
void write_product(const Operands& o, const Tensor& out) {
  const int dtype = gemm_index(out.scalar_type());
  GemmProblem p{.rows = o.rows(),
                .columns = o.columns(),
                .k = o.a.size(-1),
                .a = o.a.const_data_ptr(),
                .a_row_stride = o.a.stride(-2),
                .a_k_stride = o.a.stride(-1),
                .b = o.b.const_data_ptr(),
                .b_k_stride = o.b.stride(-2),
                .b_column_stride = o.b.stride(-1),
                .c = out.data_ptr(),
                .c_stride = out.stride(-2),
                .bias = nullptr,
                .accumulate = false};
  Tensor bias;
  if (o.summand) {
    const Tensor& summand = *o.summand;
    const bool is_row = summand.dim() >= 1 && summand.size(-1) == p.columns && summand.numel() == p.columns;
    if (is_row && !summand.is_same(out) && p.columns > 1) {
      bias = summand.reshape({p.columns}).contiguous();
      p.bias = bias.const_data_ptr();
    } else {
      if (!summand.is_same(out)) out.copy_(summand.expand(out.sizes()));
      p.accumulate = true;
    }
  }
  if (out.dim() == 2) return run_gemm(p, dtype);
  run_gemm_batch(p, out.size(0), o.a.stride(0), o.b.stride(0), out.stride(0), dtype);
}

// `out` may be written to while the operands are read. The summand may be `out` itself.
bool is_writable(const Operands& o, const Tensor& out) {
  if (out.layout() != at::kStrided || out.is_neg() || out.scalar_type() != o.a.scalar_type()) return false;
  if (out.sizes() != at::IntArrayRef(o.sizes())) return false;
  if (out.size(-1) > 1 && out.stride(-1) != 1) return false;
  if (out.size(-2) > 1 && out.stride(-2) < out.size(-1)) return false;
  if (at::has_internal_overlap(out) != at::MemOverlap::No) return false;
  const auto apart = [&](const Tensor& tensor) {
    return at::get_overlap_status(out, tensor) == at::MemOverlapStatus::No;
  };
  return apart(o.a) && apart(o.b) && (!o.summand || o.summand->is_same(out) || apart(*o.summand));
}

template <class Aten>
DecisionPoint& point() {
  static DecisionPoint& instance =
      *new DecisionPoint(handle<Aten>().operator_name().name.c_str() + sizeof("rusttorch::") - 1);
  return instance;
}

template <class Aten, class Out>
struct Product {
  static constexpr bool batched = std::string_view(Aten::name).find("bmm") != std::string_view::npos;
  static Tensor cpu(const Tensor& a, const Tensor& b) {
    if (is_widened(a, b)) return cpu(widened(a), widened(b)).to(a.scalar_type());
    const Operands o{a, b};
    if (!point<Aten>().count(decide<batched>(o))) return Aten::call(a, b);
    Tensor result = empty_result(o.sizes(), a.scalar_type());
    write_product(o, result);
    return result;
  }
  static Tensor& cpu_out(const Tensor& a, const Tensor& b, Tensor& out) {
    const Operands o{a, b};
    if (is_widened(a, b) && is_writable(o, out)) return out.copy_(cpu(widened(a), widened(b)));
    Decision decision = decide<batched>(o);
    if (decision == Decision::taken && !is_writable(o, out)) decision = Decision::layout;
    if (!point<Aten>().count(decision)) return Out::call(a, b, out);
    write_product(o, out);
    return out;
  }
};

// Not int8, whose scaled sums torch rounds in its own way.
bool is_widened_sum(const Tensor& self, const Tensor& a, const Tensor& b) {
  return self.scalar_type() == a.scalar_type() && a.scalar_type() != at::kChar && is_widened(a, b);
}

template <class Aten, class Inplace, class Out>
struct AddedProduct {
  static constexpr bool batched = Product<Aten, Out>::batched;
  static Tensor cpu(const Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
    Operands o{a, b};
    if (is_widened_sum(self, a, b)) {
      return cpu(widened(self), widened(a), widened(b), beta, alpha).to(self.scalar_type());
    }
    const Decision decision = takes_scales(o, self, beta, alpha) ? decide<batched>(o) : Decision::arguments;
    if (!point<Aten>().count(decision)) return Aten::call(self, a, b, beta, alpha);
    Tensor result = empty_result(o.sizes(), a.scalar_type());
    write_product(o, result);
    return result;
  }
  static Tensor& cpu_in_place(Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
    Operands o{a, b};
    if (is_widened_sum(self, a, b) && is_writable(o, self)) return self.copy_(cpu(self, a, b, beta, alpha));
    Decision decision = takes_scales(o, self, beta, alpha) ? decide<batched>(o) : Decision::arguments;
    if (decision == Decision::taken && !is_writable(o, self)) decision = Decision::layout;
    if (!point<Aten>().count(decision)) return Inplace::call(self, a, b, beta, alpha);
    write_product(o, self);
    return self;
  }
  static Tensor& cpu_out(const Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha,
                         Tensor& out) {
    Operands o{a, b};
    if (is_widened_sum(self, a, b) && is_writable(o, out)) return out.copy_(cpu(self, a, b, beta, alpha));
    Decision decision = takes_scales(o, self, beta, alpha) ? decide<batched>(o) : Decision::arguments;
    if (decision == Decision::taken && !is_writable(o, out)) decision = Decision::layout;
    if (!point<Aten>().count(decision)) return Out::call(self, a, b, beta, alpha, out);
    write_product(o, out);
    return out;
  }
};

bool is_real(const Tensor& tensor) { return is_floating_index(dtype_index(tensor.scalar_type())); }

// The strides of an operand that is contiguous when its last two dimensions change places: its gradient gets them, too.
// Sizes may be symbolic here.
bool is_column_major(const Tensor& tensor) {
  return tensor.dim() == 2 && tensor.sym_stride(0) == 1 && tensor.sym_stride(1) == tensor.sym_size(0);
}

// d a = g b^T, d b = a^T g, by the operator `Aten` (mm or bmm), and the sum of g for a summand.
template <class Aten>
struct ProductNode : LockedNode {
  torch::autograd::variable_list gradients(torch::autograd::variable_list&& grads) override {
    torch::autograd::variable_list result(has_summand ? 3 : 2);
    const Tensor& grad = grads[0];
    if (!grad.defined()) return result;
    const size_t first = has_summand ? 1 : 0;
    const auto& multiply = handle<Aten>();
    const auto turned = [](const Tensor& tensor) { return tensor.transpose(-2, -1); };
    if (has_summand && task_should_compute_output(0)) result[0] = at::sum_to(grad, c10::SymIntArrayRef(summand_sizes));
    if (task_should_compute_output(first)) {
      const Tensor other = b.unpack();
      result[first] = a_is_turned ? turned(multiply.call(other, turned(grad))) : multiply.call(grad, turned(other));
    }
    if (task_should_compute_output(first + 1)) {
      const Tensor other = a.unpack();
      result[first + 1] = b_is_turned ? turned(multiply.call(turned(grad), other)) : multiply.call(turned(other), grad);
    }
    return result;
  }
  void release() override {
    a.reset_data();
    b.reset_data();
  }
  std::string name() const override { return std::string("Torchext") + (has_summand ? "Addmm" : "Mm") + "Backward"; }

  torch::autograd::SavedVariable a, b;
  bool has_summand = false, a_is_turned = false, b_is_turned = false;
  c10::SmallVector<c10::SymInt, 3> summand_sizes;
};

template <class Multiply>
NodePointer<ProductNode<Multiply>> product_node(const Tensor& a, const Tensor& b, const Tensor* summand) {
  auto node = new_node<ProductNode<Multiply>>();
  if (summand) {
    node->set_next_edges(torch::autograd::collect_next_edges(*summand, a, b));
    node->has_summand = true;
    const c10::SymIntArrayRef sizes = summand->sym_sizes();
    node->summand_sizes.assign(sizes.begin(), sizes.end());
  } else {
    node->set_next_edges(torch::autograd::collect_next_edges(a, b));
  }
  node->a_is_turned = is_column_major(a);
  node->b_is_turned = is_column_major(b);
  if (b.requires_grad()) node->a = torch::autograd::SavedVariable(a, false);
  if (a.requires_grad()) node->b = torch::autograd::SavedVariable(b, false);
  return node;
}

template <class Aten>
Tensor product_autograd(c10::DispatchKeySet keys, const Tensor& a, const Tensor& b) {
  const bool graph = needs_graph(a, b);
  if (belongs_to_aten<false>(a, b) || (graph && !(is_real(a) && is_real(b)))) return Aten::call(a, b);
  NodePointer<ProductNode<Aten>> node;
  if (graph) node = product_node<Aten>(a, b, nullptr);
  Tensor result = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, a, b);
  }();
  if (node) torch::autograd::set_history(result, node);
  return result;
}

template <class Aten, class Multiply>
Tensor added_product_autograd(c10::DispatchKeySet keys, const Tensor& self, const Tensor& a, const Tensor& b,
                              const Scalar& beta, const Scalar& alpha) {
  const bool graph = needs_graph(self, a, b);
  Operands o{a, b};
  const auto ours = [&] { return takes_scales(o, self, beta, alpha) && o.summand && is_real(self) && is_real(a); };
  if (belongs_to_aten<false>(self, a, b) || (graph && !ours())) return Aten::call(self, a, b, beta, alpha);
  NodePointer<ProductNode<Multiply>> node;
  if (graph) node = product_node<Multiply>(a, b, &self);
  Tensor result = [&] {
    at::AutoDispatchBelowADInplaceOrView guard;
    return handle<Aten>().redispatch(keys & c10::after_ADInplaceOrView_keyset, self, a, b, beta, alpha);
  }();
  if (node) torch::autograd::set_history(result, node);
  return result;
}

// Autocast casts products to bfloat16 or float16: ATen's.
template <class Aten>
void register_functional(torch::Library& library) {
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::AutocastCPU, &Aten::call);
}
// In place or with out=. With gradients: ATen.
template <class Mutable>
void register_mutable(torch::Library& library) {
  define<Mutable>(library);
  implement_version_bump<Mutable>(library);
  implement_pass_through<Mutable, false>(library);
}

template <class Aten, class Out>
void register_product(torch::Library& library) {
  register_functional<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &Product<Aten, Out>::cpu);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &product_autograd<Aten>);
  register_mutable<Out>(library);
  implement<Out>(library, c10::DispatchKey::CPU, &Product<Aten, Out>::cpu_out);
}

template <class Aten, class Inplace, class Out, class Multiply>
void register_added_product(torch::Library& library) {
  using Kernels = AddedProduct<Aten, Inplace, Out>;
  register_functional<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &Kernels::cpu);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &added_product_autograd<Aten, Multiply>);
  register_mutable<Out>(library);
  implement<Out>(library, c10::DispatchKey::CPU, &Kernels::cpu_out);
  register_mutable<Inplace>(library);
  implement<Inplace>(library, c10::DispatchKey::CPU, &Kernels::cpu_in_place);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  using namespace at::_ops;
  register_product<mm, mm_out>(library);
  register_product<bmm, bmm_out>(library);
  register_added_product<addmm, addmm_, addmm_out, mm>(library);
  register_added_product<baddbmm, baddbmm_, baddbmm_out, bmm>(library);
}

}  // namespace rusttorch

// matmul of tensors of any rank, by mm and bmm: what has one matrix on the right is one product of all rows; batches that
// broadcast are expanded, not copied, where their strides allow it.
#include "torch_headers.h"

#include <ATen/ExpandUtils.h>
#include <ATen/ops/bmm_ops.h>
#include <ATen/ops/matmul_ops.h>
#include <ATen/ops/mm_ops.h>

#include "autograd.h"
#include "gemm.h"
#include "widening.h"

namespace rusttorch {
namespace {

using Aten = at::_ops::matmul;

// Two vectors are dot's.
Decision decide(const Tensor& a, const Tensor& b) {
  if (gemm_index(product_type(a.scalar_type())) < 0 || a.scalar_type() != b.scalar_type()) return Decision::dtype;
  if (a.layout() != at::kStrided || b.layout() != at::kStrided) return Decision::layout;
  if (a.dim() == 0 || b.dim() == 0 || (a.dim() == 1 && b.dim() == 1)) return Decision::arguments;
  return Decision::taken;
}

// Of matrices and batches of them; sizes may be symbolic.
Tensor product_of(const Tensor& a, const Tensor& b) {
  const auto& mm = handle<at::_ops::mm>();
  if (a.dim() == 2 && b.dim() == 2) return mm.call(a, b);
  if (b.dim() == 2) {
    c10::SymDimVector sizes(a.sym_sizes());
    sizes.back() = b.sym_size(1);
    return mm.call(a.flatten(0, -2), b).view_symint(sizes);
  }
  const auto batch_of = [](const Tensor& x) { return x.sym_sizes().slice(0, x.dim() - 2); };
  const c10::SymDimVector batch = at::infer_size_symdimvector(batch_of(a), batch_of(b));
  const auto expanded = [&](const Tensor& x) {
    c10::SymDimVector sizes(batch);
    sizes.append({x.sym_size(-2), x.sym_size(-1)});
    const Tensor whole = x.expand_symint(sizes);
    return batch.size() == 1 ? whole : whole.flatten(0, -3);
  };
  const Tensor result = handle<at::_ops::bmm>().call(expanded(a), expanded(b));
  c10::SymDimVector sizes(batch);
  sizes.append({a.sym_size(-2), b.sym_size(-1)});
  return batch.size() == 1 ? result : result.view_symint(sizes);
}

// With or without a graph: mm and bmm know their derivatives.
Tensor matmul(const Tensor& a, const Tensor& b) {
  static DecisionPoint& point = *new DecisionPoint("matmul");
  if (belongs_to_aten<false>(a, b)) return Aten::call(a, b);
  if (!point.count(decide(a, b))) return Aten::call(a, b);
  if (a.dim() == 1) return product_of(a.unsqueeze(0), b).squeeze(-2);
  if (b.dim() == 1) return product_of(a, b.unsqueeze(1)).squeeze(-1);
  return product_of(a, b);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(rusttorch, library) {
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, &matmul);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, &matmul);
  implement<Aten>(library, c10::DispatchKey::AutocastCPU, &Aten::call);
}

}  // namespace rusttorch

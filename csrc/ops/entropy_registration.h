// What cross_entropy_loss and nll_loss_nd register: the public operator, and the internal ones of its graph.
#pragma once
#include "autocast.h"
#include "autograd.h"
#include "entropy.h"

namespace rusttorch {

template <class Aten, class Forward, class Backward, class Autograd>
void register_entropy(torch::Library& library, typename Aten::schema* cpu, Autograd* autograd,
                      typename Forward::schema* forward_cpu, typename Backward::schema* backward_cpu) {
  define<Aten>(library);
  implement<Aten>(library, c10::DispatchKey::CPU, cpu);
  implement<Aten>(library, c10::DispatchKey::AutogradCPU, autograd);
  implement_autocast_to_float32<Aten>(library);
  define<Forward>(library);
  implement<Forward>(library, c10::DispatchKey::CPU, forward_cpu);
  implement_pass_through<Forward, false>(library);
  define<Backward>(library);
  implement<Backward>(library, c10::DispatchKey::CPU, backward_cpu);
  implement_pass_through<Backward, false>(library);
}

}  // namespace rusttorch

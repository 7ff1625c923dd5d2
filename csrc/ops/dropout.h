// Dropout's masks, drawn by composition in C++.
#pragma once
#include "common.h"

namespace rusttorch {

// bernoulli_(p) with random numbers of our own (kernels/dropout.h), which threads share: for patch(random=True).
Tensor& random_mask(Tensor& self, double p, std::optional<at::Generator> generator);

}  // namespace rusttorch

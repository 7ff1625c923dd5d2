// linear followed by an activation, in the form of ATen's operator structs (at::_ops).
#pragma once
#include <ATen/core/Tensor.h>

#include <string_view>

namespace rusttorch::ops {

struct linear_act {
  using schema = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view);
  static constexpr const char* name = "rusttorch::linear_act";
  static constexpr const char* overload_name = "";
  static constexpr const char* schema_str =
      "linear_act(Tensor input, Tensor weight, Tensor? bias, str activation) -> Tensor";
  static at::Tensor call(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                         std::string_view activation);
};

}  // namespace rusttorch::ops

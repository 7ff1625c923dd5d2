// Autocast on the CPU, for operators that ATen runs in float32 there.
#pragma once
#include "registration.h"

// As in ATen/autocast_mode.h, which includes every operator of ATen: 20 s of compile time.
namespace at::autocast {
TORCH_API Tensor cached_cast(at::ScalarType to_type, const Tensor& arg, DeviceType device_type);
}

namespace rusttorch {

template <class Aten, class Signature = typename Aten::schema>
struct AutocastToFloat32;

template <class Aten, class Result, class... Args>
struct AutocastToFloat32<Aten, Result(Args...)> {
  static Result call(Args... args) {
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
    return handle<Aten>().call(cast(args)...);
  }

 private:
  static at::Tensor cast(const at::Tensor& tensor) {
    return at::autocast::cached_cast(at::kFloat, tensor, c10::DeviceType::CPU);
  }
  static std::optional<at::Tensor> cast(const std::optional<at::Tensor>& tensor) {
    return tensor ? std::optional<at::Tensor>(cast(*tensor)) : std::nullopt;
  }
  template <class T>
  static const T& cast(const T& argument) {
    return argument;
  }
};

template <class Aten>
void implement_autocast_to_float32(torch::Library& library) {
  implement<Aten>(library, c10::DispatchKey::AutocastCPU, &AutocastToFloat32<Aten>::call);
}

}  // namespace rusttorch

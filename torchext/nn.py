"""torch.nn's activation, loss, normalisation, dropout and linear modules with our kernels in ``forward``.

Every class here but LinearAct is a subclass of torch's of the same name, with the same arguments, the same state and
the same ``repr``: a model may swap one for the other, and ``isinstance(module, torch.nn.GELU)`` stays true. Shapes:
any, the result is like the input; of a loss that is reduced, 0-dimensional.

Example:
    >>> torchext.nn.Mish()(torch.zeros(2))
    tensor([0., 0.])
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from torchext import functional

__all__ = [
    "ELU", "GELU", "LeakyReLU", "LogSoftmax", "Mish", "ReLU", "SELU", "SiLU", "Sigmoid", "Softmax", "Softplus",
    "Softsign", "Tanh",
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "L1Loss", "MSELoss", "NLLLoss", "SmoothL1Loss",
    "Dropout", "LayerNorm", "Linear", "LinearAct", "RMSNorm",
]  # fmt: skip


class ReLU(nn.ReLU):
    """:func:`torchext.relu`; arguments as :class:`torch.nn.ReLU`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.relu(input, self.inplace)


class LeakyReLU(nn.LeakyReLU):
    """:func:`torchext.leaky_relu`; arguments as :class:`torch.nn.LeakyReLU`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.leaky_relu(input, self.negative_slope, self.inplace)


class ELU(nn.ELU):
    """:func:`torchext.elu`; arguments as :class:`torch.nn.ELU`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.elu(input, self.alpha, self.inplace)


class SELU(nn.SELU):
    """:func:`torchext.selu`; arguments as :class:`torch.nn.SELU`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.selu(input, self.inplace)


class GELU(nn.GELU):
    """:func:`torchext.gelu`; arguments as :class:`torch.nn.GELU`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.gelu(input, self.approximate)


class Sigmoid(nn.Sigmoid):
    """:func:`torchext.sigmoid`; as :class:`torch.nn.Sigmoid`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.sigmoid(input)


class Tanh(nn.Tanh):
    """:func:`torchext.tanh`; as :class:`torch.nn.Tanh`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.tanh(input)


class Softplus(nn.Softplus):
    """:func:`torchext.softplus`; arguments as :class:`torch.nn.Softplus`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.softplus(input, self.beta, self.threshold)


class Softsign(nn.Softsign):
    """:func:`torchext.softsign`; as :class:`torch.nn.Softsign`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.softsign(input)


class SiLU(nn.SiLU):
    """:func:`torchext.silu`; arguments as :class:`torch.nn.SiLU`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.silu(input, self.inplace)


class Mish(nn.Mish):
    """:func:`torchext.mish`; arguments as :class:`torch.nn.Mish`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.mish(input, self.inplace)


class Softmax(nn.Softmax):
    """:func:`torchext.softmax`; arguments as :class:`torch.nn.Softmax`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.softmax(input, self.dim, _stacklevel=5)


class LogSoftmax(nn.LogSoftmax):
    """:func:`torchext.log_softmax`; arguments as :class:`torch.nn.LogSoftmax`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.log_softmax(input, self.dim, _stacklevel=5)


class MSELoss(nn.MSELoss):
    """:func:`torchext.mse_loss`; arguments as :class:`torch.nn.MSELoss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(input, target, reduction=self.reduction)


class L1Loss(nn.L1Loss):
    """:func:`torchext.l1_loss`; arguments as :class:`torch.nn.L1Loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(nn.SmoothL1Loss):
    """:func:`torchext.smooth_l1_loss`; arguments as :class:`torch.nn.SmoothL1Loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(nn.HuberLoss):
    """:func:`torchext.huber_loss`; arguments as :class:`torch.nn.HuberLoss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(nn.BCELoss):
    """:func:`torchext.binary_cross_entropy`; arguments as :class:`torch.nn.BCELoss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(nn.BCEWithLogitsLoss):
    """:func:`torchext.binary_cross_entropy_with_logits`; arguments as :class:`torch.nn.BCEWithLogitsLoss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """:func:`torchext.cross_entropy`; arguments as :class:`torch.nn.CrossEntropyLoss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip


class NLLLoss(nn.NLLLoss):
    """:func:`torchext.nll_loss`; arguments as :class:`torch.nn.NLLLoss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.nll_loss(
            input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class LayerNorm(nn.LayerNorm):
    """:func:`torchext.layer_norm`; arguments as :class:`torch.nn.LayerNorm`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(nn.RMSNorm):
    """:func:`torchext.rms_norm`; arguments as :class:`torch.nn.RMSNorm`."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class Dropout(nn.Dropout):
    """:func:`torchext.dropout`; arguments as :class:`torch.nn.Dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout(input, self.p, self.training, self.inplace)


class Linear(nn.Linear):
    """:func:`torchext.linear`; arguments as :class:`torch.nn.Linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight, self.bias)


class LinearAct(nn.Linear):
    """A linear layer and the activation that follows it: :func:`torchext.linear_act`.

    Its state is that of :class:`torch.nn.Linear`: it may load what an ``nn.Sequential(nn.Linear(...), nn.GELU())``
    saved for its first module.

    Args:
        in_features: size of the last dimension of the input.
        out_features: size of the last dimension of the result.
        bias: with False the layer has no bias.
        activation: "gelu", "gelu_tanh", "relu", "silu", "tanh" or "sigmoid".
        device, dtype: of the parameters.

    Raises:
        ValueError: another activation.

    Example:
        >>> torchext.nn.LinearAct(3, 2, activation="relu")
        LinearAct(in_features=3, out_features=2, bias=True, activation=relu)
    """

    activation: str

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, activation: str = "gelu",
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        functional.products.check_activation(activation)
        super().__init__(in_features, out_features, bias, device, dtype)
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear_act(input, self.weight, self.bias, self.activation)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, activation={self.activation}"

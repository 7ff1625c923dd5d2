"""verify(): does a model give the same results patched as unpatched?"""

from __future__ import annotations

import argparse
import copy
import importlib
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from torchext import _patch

__all__ = ["Difference", "Verification", "verify"]


@dataclass(frozen=True)
class Difference:
    """How far patched results are from stock ones.

    Attributes:
        what: ``"output of encoder.0"``, ``"gradient of head.weight"``, ``"parameter head.weight after a
            step"``.
        max_abs: the largest absolute difference; of integers, 1 where any differ.
        max_ulp: the same in units in the last place of the largest stock value, in the tensor's dtype.
        ok: within the tolerance, and NaN where stock is NaN.
    """

    what: str
    max_abs: float
    max_ulp: float
    ok: bool


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found, in the order of execution; true where everything is within the tolerance."""

    differences: tuple[Difference, ...]

    @property
    def first_divergence(self) -> Difference | None:
        """The first difference beyond the tolerance: where to look."""
        return next((difference for difference in self.differences if not difference.ok), None)

    def __bool__(self) -> bool:
        return self.first_divergence is None

    def __str__(self) -> str:
        rows = [f"{'':2} {'max abs':>10} {'max ulp':>10}  what"]
        for d in self.differences:
            rows.append(f"{'  ' if d.ok else '!!'} {d.max_abs:10.3g} {d.max_ulp:10.3g}  {d.what}")
        first = self.first_divergence
        rows.append(f"first divergence: {first.what}" if first else f"no divergence in {len(self.differences)} tensors")
        return "\n".join(rows)


def verify(
    model: nn.Module,
    *inputs: Any,
    tolerance: float | None = None,
    optimizer: type[torch.optim.Optimizer] = torch.optim.SGD,
    **keywords: Any,
) -> Verification:
    """Runs forward, backward and one optimizer step, unpatched and patched, and compares every tensor.

    The loss is the output's ``loss`` where it has one, else a weighted mean of all its floating tensors. Both runs
    start from the same parameters, buffers and random numbers. The model is left as it was.

    Args:
        model: any module; in its present mode, training or evaluation.
        inputs: what the model is called with; keywords likewise.
        tolerance: largest difference that is accepted, relative to the largest value of a tensor; None: the square root
            of the dtype's epsilon, half of its digits. A difference below 8 epsilons of the largest value of all
            outputs (or gradients, or parameters) is rounding noise.
        optimizer: its class, made with a learning rate of 1e-3.

    Returns:
        A :class:`Verification`: a table under ``print()``, true where nothing diverges.

    Raises:
        RuntimeError: what the model raises, or a model that runs other modules the second time.

    Example:
        >>> import torch, torchext
        >>> bool(torchext.verify(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh()), torch.randn(2, 4)))
        True
    """
    with _restored(model):
        stock = _record(model, inputs, keywords, optimizer, patched=False)
    with _restored(model):
        patched = _record(model, inputs, keywords, optimizer, patched=True)
    if [what for what, _ in stock] != [what for what, _ in patched]:
        raise RuntimeError("verify(): expected the same modules to run twice, but the model took another way")
    floors = _rounding_noise(stock)
    return Verification(
        tuple(
            _compare(what, a, b, tolerance, floors[what.split()[0]])
            for (what, a), (_, b) in zip(stock, patched, strict=True)
        )
    )


def _rounding_noise(results: list[tuple[str, Tensor]]) -> dict[str, float]:
    """First word of a name -> 8 epsilons of the largest value of that kind.

    The gradient of a bias before a softmax, for one, is 0 but for rounding: its own values are no measure.
    """
    floors: dict[str, float] = defaultdict(float)
    for what, tensor in results:
        values = tensor[tensor.isfinite()]
        if tensor.is_floating_point() and values.numel():
            kind = what.split()[0]
            floors[kind] = max(floors[kind], 8 * torch.finfo(tensor.dtype).eps * values.abs().max().item())
    return floors


def _compare(what: str, stock: Tensor, patched: Tensor, tolerance: float | None, floor: float) -> Difference:
    if stock.shape != patched.shape or stock.dtype != patched.dtype:
        return Difference(f"{what}: {patched.dtype} {tuple(patched.shape)}", math.inf, math.inf, False)
    if not stock.is_floating_point():
        return Difference(what, 0.0 if (same := torch.equal(stock, patched)) else 1.0, 0.0, same)
    eps = torch.finfo(stock.dtype).eps
    a, b = stock.double(), patched.double()
    finite = a.isfinite()
    same_elsewhere = torch.equal(a[~finite].nan_to_num(0, 1, -1), b[~finite].nan_to_num(0, 1, -1)) and torch.equal(
        finite, b.isfinite()
    )
    if not finite.any():
        return Difference(what, 0.0, 0.0, same_elsewhere)
    largest = a[finite].abs().max().item()
    max_abs = (a[finite] - b[finite]).abs().max().item()
    spacing = eps * 2.0 ** math.floor(math.log2(largest)) if largest else torch.finfo(stock.dtype).tiny * eps
    allowed = (math.sqrt(eps) if tolerance is None else tolerance) * largest
    return Difference(what, max_abs, max_abs / spacing, same_elsewhere and max_abs <= max(allowed, floor))


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    """Parameters, buffers, gradients and torch's random numbers are what they were, afterwards."""
    tensors = [*model.parameters(), *model.buffers()]
    before = [tensor.detach().clone() for tensor in tensors]
    gradients = [tensor.grad for tensor in tensors]
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value, gradient in zip(tensors, before, gradients, strict=True):
                    tensor.copy_(value)
                    tensor.grad = gradient


def _record(
    model: nn.Module,
    inputs: tuple[Any, ...],
    keywords: dict[str, Any],
    optimizer: type[torch.optim.Optimizer],
    patched: bool,
) -> list[tuple[str, Tensor]]:
    """Every real tensor that comes up, with its name."""
    found: list[tuple[str, Tensor]] = []

    def keep(what: str, value: Any) -> None:
        for tensor in pytree.tree_leaves(value):
            if isinstance(tensor, Tensor) and not tensor.is_complex():
                found.append((what, tensor.detach().clone()))

    def hook(name: str) -> Any:
        return lambda _module, _inputs, output: keep(f"output of {name or 'the model'}", output)

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules()]
    parameters = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    for _, parameter in parameters:
        parameter.grad = None
    inputs, keywords = pytree.tree_map(_copy, (inputs, keywords))
    torch.manual_seed(0)
    was = _patch._current
    try:
        with _patch.patched() if patched else nullcontext():
            if not patched:
                _patch.unpatch()
            output = model(*inputs, **keywords)
            loss = _loss_of(output)
            if loss is not None and loss.requires_grad:
                loss.backward()
                for name, parameter in parameters:
                    if parameter.grad is not None:
                        keep(f"gradient of {name}", parameter.grad)
                if parameters:
                    optimizer([parameter for _, parameter in parameters], lr=1e-3).step()  # type: ignore[call-arg]
                for name, parameter in parameters:
                    keep(f"parameter {name} after a step", parameter)
    finally:
        _patch._apply(was)
        for handle in handles:
            handle.remove()
    return found


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    return copy.deepcopy(value)


def _loss_of(output: Any) -> Tensor | None:
    loss = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
    if isinstance(loss, Tensor):
        return loss
    tensors = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    # Weights of both signs: the mean square of a normalised output is a constant, whose gradient is rounding noise.
    weighted = [(tensor.float() * torch.arange(tensor.numel()).cos().view_as(tensor)).mean() for tensor in tensors]
    return sum(weighted, torch.zeros(())) if tensors else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "factory", metavar="MODULE:FACTORY", help="a function without arguments that returns (model, inputs)"
    )
    parser.add_argument("--tolerance", type=float, help="relative to the largest value of a tensor")


def load_factory(text: str) -> Any:
    """What ``module:function`` returns: a model, or a tuple of it and its inputs (a tuple, a dict or one tensor).

    Raises:
        ValueError: the text has another form, or names nothing.
    """
    module_name, _, name = text.partition(":")
    sys.path.insert(0, "")
    try:
        factory = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"expected MODULE:FACTORY that can be imported, got {text!r} ({error})") from error
    finally:
        sys.path.remove("")
    model, inputs = factory()
    if isinstance(inputs, dict):
        return model, (), inputs
    return model, inputs if isinstance(inputs, tuple) else (inputs,), {}


def main(options: argparse.Namespace) -> int:
    """Prints the table; 0 where nothing diverges, 1 where something does, 2 for a wrong argument."""
    try:
        model, inputs, keywords = load_factory(options.factory)
    except ValueError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    result = verify(model, *inputs, tolerance=options.tolerance, **keywords)
    print(result)
    return 0 if result else 1

"""What looks at an operator from above: functorch, compilers, exporters, fake tensors, autocast, subclasses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from operators import INPLACE, OVERLOADS, PRODUCTS, arguments, copied, destination, is_reduction, twin
from support import NAMES, loss_arguments, row_named, takes_dim, tensor_count
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import torchext

# float64 both, by different formulas: a few units of numbers below 10.
close = {"rtol": 1e-12, "atol": 1e-12}


def call_of(name: str, kind: str = "function"):
    """The row's function of its tensors alone, along the last dimension, which stays; a loss without reduction."""
    row = row_named(name)
    function = getattr(row, kind)
    if row.family == "loss":
        return lambda x: function(*loss_arguments(name, x), reduction="none")
    keep = {"keepdim": True} if row.family == "reduction" else {}
    return (lambda x: function(x, -1, **keep)) if takes_dim(row) else function


def tensors_of(name: str, *shape: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    count = tensor_count(name)
    return tuple(torch.rand(shape, dtype=dtype) + 0.5 for _ in range(count))


TRANSFORMS = {
    "vmap": lambda f, x: vmap(f)(*x),
    "vmap over the last dim": lambda f, x: vmap(f, in_dims=-1, out_dims=1)(*x),
    "nested vmap": lambda f, x: vmap(vmap(f))(*(t.unsqueeze(-1) for t in x)),
    "vmap of one operand": lambda f, x: vmap(lambda t: f(t, *x[1:]))(x[0].unsqueeze(0)),
    "jvp": lambda f, x: jvp(f, x, tuple(t + 1 for t in x)),
    "vjp": lambda f, x: vjp(f, *x)[1](torch.ones_like(f(*x))),
    "jacrev": lambda f, x: jacrev(f)(*(t[0] for t in x)),
    "jacfwd": lambda f, x: jacfwd(f)(*(t[0] for t in x)),
    "hessian": lambda f, x: hessian(lambda *t: f(*t).square().sum())(*(t[0] for t in x)),
    "per-sample gradients": lambda f, x: vmap(grad(lambda *t: f(*t).square().sum()))(*x),
    "grad of grad": lambda f, x: grad(lambda t: grad(lambda u: f(u, *x[1:]).pow(3).sum())(t).sum())(x[0]),
    "functionalize": lambda f, x: torch.func.functionalize(f)(*x),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", NAMES)
def test_functorch(name, transform):
    inputs = tensors_of(name, 3, 4)
    ours, stock = (TRANSFORMS[transform](call_of(name, kind), inputs) for kind in ("function", "original"))
    torch.testing.assert_close(ours, stock, **close)


@pytest.mark.parametrize("name", [name for name in INPLACE if "mode" not in name and "bernoulli" not in name])  # random
def test_functorch_inplace(name):
    """In-place operators under vmap and grad, on a copy."""
    overload, aten = OVERLOADS[name], twin(name)
    positional, keywords = arguments(overload, (3, 4), torch.float64)
    rest = positional[1:]
    results = []
    for operator in (overload, aten):

        def f(x, *other, operator=operator):
            return operator(x.clone(), *other, **keywords)

        batched = [0 if isinstance(value, torch.Tensor) else None for value in rest]
        results.append(
            (
                vmap(f, in_dims=(0, *batched))(positional[0], *rest),
                grad(lambda x, f=f: f(x, *rest).sum())(positional[0]),
            )
        )
    torch.testing.assert_close(*results, **close)


def test_per_sample_gradients_of_a_layer():
    layer = torch.nn.Linear(5, 3).double()
    parameters = dict(layer.named_parameters())
    x = torch.randn(4, 5, dtype=torch.float64)
    results = [
        vmap(grad(lambda p, t, g=gelu: g(functional_call(layer, p, (t,))).sum()), (None, 0))(parameters, x)
        for gelu in (torchext.gelu, F.gelu)
    ]
    torch.testing.assert_close(*results, **close)


def test_every_overload_has_a_schema_of_aten():
    assert len(OVERLOADS) >= 71
    for name, overload in OVERLOADS.items():
        aten = twin(name)
        if aten is not None:
            assert str(overload._schema).split("::")[1] == str(aten._schema).split("::")[1]


def compare_compiled(name: str, backend: str) -> None:
    """Forward and backward for several shapes with one dynamic graph."""
    compiled = torch.compile(lambda *x: call_of(name)(*x) * 2, fullgraph=True, dynamic=True, backend=backend)
    for rows in (3, 7, 9):
        inputs = [x.requires_grad_() for x in tensors_of(name, rows, 4)]
        plain = [x.detach().clone().requires_grad_() for x in inputs]
        result, expected = compiled(*inputs), call_of(name, "original")(*plain) * 2
        torch.testing.assert_close(result, expected, **close)
        result.square().sum().backward()
        expected.square().sum().backward()
        for x, y in zip(inputs, plain, strict=True):
            torch.testing.assert_close(x.grad, y.grad, **close)


@pytest.mark.parametrize("name", NAMES)
def test_compile(name):
    torch._dynamo.reset()
    compare_compiled(name, "aot_eager")


@pytest.mark.parametrize("name", ["gelu", "mul", "softmax"])
def test_compile_with_inductor(name):
    torch._dynamo.reset()
    compare_compiled(name, "inductor")


def test_compile_keywords_numbers_and_inplace():
    """All the ways a function may be called, in one graph."""

    def everything(x, y, library, functional):
        z = (
            library.add(x, y, alpha=2)
            + library.sub(x, 1.5)
            + library.mul(x, y)
            + library.div(x, y, rounding_mode="floor")
        )
        z = z + library.add(2, x) + library.div(1.0, y)
        z = functional.elu(functional.leaky_relu(z, 0.2), alpha=1.5)
        z = (
            functional.gelu(z, approximate="tanh")
            + functional.softplus(z, beta=2)
            + functional.softmax(z, dim=0, dtype=torch.float64)
        )
        z = functional.relu(z * 1, inplace=True) + functional.silu(z * 1, inplace=True) + functional.log_softmax(z, 1)
        out = torch.empty_like(z)
        return library.tanh(z, out=out) + library.sigmoid(out)

    x, y = torch.randn(4, 5), torch.rand(4, 5) + 0.5
    expected = everything(x, y, torch, F)
    torch._dynamo.reset()
    compiled = torch.compile(everything, fullgraph=True, dynamic=True, backend="aot_eager")
    torch.testing.assert_close(
        compiled(x, y, torchext, torchext), expected, rtol=1e-5, atol=1e-5
    )  # float32, 20 operations


def test_compile_of_a_transform():
    f = torch.compile(lambda t: vmap(grad(lambda u: torchext.gelu(u).sum()))(t), fullgraph=True, backend="aot_eager")
    x = torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(f(x), vmap(grad(lambda u: F.gelu(u).sum()))(x), **close)


def test_compile_leaves_cheap_operators_to_the_compiler():
    """add, mul and relu are recorded as ATen's, which a compiler fuses; gelu stays ours."""
    x = torch.randn(4, 5)
    names = {
        name: [
            str(node.target)
            for node in make_fx(lambda *x, f=call_of(name): f(*x))(*([x] * len(tensors_of(name, 1)))).graph.nodes  # noqa: B008
            if node.op == "call_function"
        ]
        for name in ("add", "mul", "relu", "gelu", "softmax")
    }
    assert names["gelu"] == ["rusttorch.gelu.default"]
    assert names["softmax"] == ["rusttorch.softmax.int"]
    for name in ("add", "mul", "relu"):
        assert all(target.startswith("aten.") for target in names[name]), names


@pytest.mark.parametrize("name", NAMES)
def test_make_fx(name):
    inputs = tensors_of(name, 3, 4)
    for mode in ("real", "fake", "symbolic"):
        graph = make_fx(lambda *x: call_of(name)(*x), tracing_mode=mode)(*inputs)
        torch.testing.assert_close(graph(*inputs), call_of(name, "original")(*inputs), **close)
    other = tensors_of(name, 5, 2)
    torch.testing.assert_close(graph(*other), call_of(name, "original")(*other), **close)


def test_export():
    """A model with every row exports with a dynamic batch and gives the same numbers."""

    class Model(torch.nn.Module):
        def forward(self, x):
            return sum(call_of(name)(*([x] * len(tensors_of(name, 1)))) for name in NAMES)

    x = torch.rand(3, 4, dtype=torch.float64) + 0.5
    exported = torch.export.export(Model(), (x,), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
    other = torch.rand(7, 4, dtype=torch.float64) + 0.5
    torch.testing.assert_close(exported.module()(other), Model()(other), **close)
    torch.testing.assert_close(exported.run_decompositions().module()(other), Model()(other), **close)


@pytest.mark.parametrize("name", NAMES)
def test_autocast(name):
    """The dtype of torch's autocast on the CPU: of these operators, the losses are on its list for float32."""
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        inputs = tensors_of(name, 3, 4, dtype=dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours, stock = call_of(name)(*inputs), call_of(name, "original")(*inputs)
        assert ours.dtype == stock.dtype
        torch.testing.assert_close(ours, stock)
    x = torch.randn(3, 4, requires_grad=True)
    weight = torch.randn(4, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = x @ weight
        result = call_of(name)(*([hidden] * len(inputs)))
    assert result.dtype == (torch.float32 if row_named(name).family == "loss" else torch.bfloat16)
    result.float().sum().backward()
    assert x.grad.dtype == torch.float32


def tuple_of(result) -> tuple[torch.Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def is_product(name: str) -> bool:
    return name.split(".")[0].removesuffix("_") in PRODUCTS


@pytest.mark.parametrize("name", OVERLOADS)
def test_meta_and_fake_tensors(name):
    """Form without data: strides of a real call, for tensors in other layouts, too."""
    from torch._subclasses import FakeTensorMode

    overload = OVERLOADS[name]
    for index, change in enumerate((lambda x: x, lambda x: x.t(), lambda x: x[:, ::2])):
        positional, keywords = arguments(overload, (4, 6))
        if index > 0 and (len({x.shape for x in positional if isinstance(x, torch.Tensor)}) > 1 or is_product(name)):
            continue  # shapes that belong together
        positional = [change(x) if isinstance(x, torch.Tensor) else x for x in positional]
        out = destination(overload) if overload._schema.is_mutable else ""
        if out in keywords:
            empty = torch.empty(0, dtype=keywords[out].dtype)
            keywords[out] = empty if is_reduction(overload) else torch.empty_like(positional[0])
        # A dense copy of a stepped tensor has other strides; so has its real counterpart here.
        positional, keywords = copied(positional, keywords)
        meta = [x.to("meta") if isinstance(x, torch.Tensor) else x for x in positional]
        meta_keywords = {k: v.to("meta") if isinstance(v, torch.Tensor) else v for k, v in keywords.items()}
        result = overload(*meta, **meta_keywords)
        with FakeTensorMode() as mode:
            fake = [mode.from_tensor(x) if isinstance(x, torch.Tensor) else x for x in positional]
            fake_keywords = {k: mode.from_tensor(v) if isinstance(v, torch.Tensor) else v for k, v in keywords.items()}
            fake_result = overload(*fake, **fake_keywords)
        real = overload(*positional, **keywords)
        for others in (result, fake_result):
            for other, expected in zip(tuple_of(others), tuple_of(real), strict=True):
                assert (other.shape, other.stride(), other.dtype) == (expected.shape, expected.stride(), expected.dtype)


class Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NAMES)
def test_dispatch_mode(name):
    """A mode sees the operator: ours, or ATen's where a compiler shall fuse it."""
    with Recorder() as recorder:
        result = call_of(name)(*tensors_of(name, 3, 4))
    assert any(name in seen or "addcmul" in seen for seen in recorder.seen), recorder.seen
    assert result.shape == call_of(name, "original")(*tensors_of(name, 3, 4)).shape


class Tagged(torch.Tensor):
    """A subclass that counts what reaches it."""

    seen: list[str] = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        cls.seen.append(function.__name__)
        return super().__torch_function__(function, types, args, kwargs or {})


class Names(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.seen.append(function.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NAMES)
def test_torch_function(name):
    """Subclasses and modes see torchext's function by name; the result is of the subclass."""
    inputs = tensors_of(name, 3, 4)
    Tagged.seen.clear()
    result = call_of(name)(*(x.as_subclass(Tagged) for x in inputs))
    assert isinstance(result, Tagged)
    assert name in Tagged.seen
    with Names() as mode:
        plain = call_of(name)(*inputs)
    assert name in mode.seen
    expected = call_of(name, "original")(*inputs)
    torch.testing.assert_close(plain, expected, **close)
    torch.testing.assert_close(result.as_subclass(torch.Tensor), expected, **close)
    parameter = torch.nn.Parameter(inputs[0])
    assert type(call_of(name)(parameter, *inputs[1:])) is torch.Tensor


@pytest.mark.parametrize("name", NAMES)
def test_nested_and_sparse_tensors(name):
    """What torch does with them, exceptions included."""
    from support import outcome

    def forms():
        nested = torch.nested.nested_tensor([torch.rand(2, 3) + 1, torch.rand(4, 3) + 1])
        jagged = torch.nested.nested_tensor([torch.rand(2, 3) + 1, torch.rand(4, 3) + 1], layout=torch.jagged)
        dense = torch.eye(4) * 3
        return {
            "nested": nested,
            "jagged": jagged,
            "sparse": dense.to_sparse(),
            "csr": dense.to_sparse_csr(),
            "mkldnn": dense.to_mkldnn(),
        }

    def plain(result):
        result = result if isinstance(result, torch.Tensor) else torch.empty(0)
        if result.is_nested:
            return torch.cat([part.flatten() for part in result.unbind()])
        return result.to_dense() if result.layout != torch.strided else result

    count = len(tensors_of(name, 1))
    for form, tensor in forms().items():
        ours = outcome(call_of(name), *([tensor] * count))
        stock = outcome(call_of(name, "original"), *([tensor] * count))
        assert ours.error is stock.error, (form, ours, stock)
        if stock.error is None:
            assert ours.result.layout == stock.result.layout
            torch.testing.assert_close(plain(ours.result), plain(stock.result), equal_nan=True)


def test_quantised_tensors():
    x = torch.quantize_per_tensor(torch.randn(3, 4), 0.1, 0, torch.qint8)
    for name in ("relu", "tanh", "sigmoid"):
        assert torch.equal(getattr(torchext, name)(x).int_repr(), getattr(torch, name)(x).int_repr())


@pytest.mark.parametrize("name", ["elu", "selu", "softplus", "gelu", "tanh", "mish"])
def test_compiled_backward_of_another_layout(name):
    """The compiler believes the strides that the operator has on fake tensors."""
    function = row_named(name).function
    x, weight = torch.randn(3, 4, requires_grad=True), torch.randn(4, 3)
    compiled = torch.compile(lambda t: torchext.softmax(function(t.t()), 0))
    gradients = [torch.autograd.grad(f(x), x, weight)[0] for f in (compiled, lambda t: function(t.t()).softmax(0))]
    torch.testing.assert_close(*gradients)


def test_compositions_of_integer_division():
    """Only a signed -1 is guarded; dtype and strides are those of a plain division."""
    x = torch.tensor([[10, 100], [1000, -(2**31)]], dtype=torch.int32)
    for divisor in (
        torch.tensor([[255, 255], [3, 1]], dtype=torch.uint8), torch.tensor([[True, True], [True, True]]),
        torch.tensor([[-1, 2], [3, 7]], dtype=torch.int8), torch.tensor([[-1, 2], [3, -1]], dtype=torch.int32).t(),
    ):  # fmt: skip
        for mode in ("trunc", "floor"):
            eager = torchext.div(x, divisor, rounding_mode=mode)
            compiled = torch.compile(lambda a, b, m=mode: torchext.div(a, b, rounding_mode=m), backend="aot_eager")
            for other in (
                compiled(x, divisor),
                torch.vmap(lambda a, b, m=mode: torchext.div(a, b, rounding_mode=m))(x, divisor),
            ):
                assert other.dtype == eager.dtype and torch.equal(other, eager)
            assert compiled(x, divisor).stride() == eager.stride()


def test_symbolic_numbers_stay_symbolic():
    class Scaled(torch.nn.Module):
        def forward(self, x):
            y = torchext.add(torchext.mul(x, x.shape[0]), x, alpha=2)
            return torchext.div(torchext.sub(x.shape[0], y), x.shape[0])

    program = torch.export.export(Scaled(), (torch.randn(4, 3),), dynamic_shapes={"x": {0: torch.export.Dim("n")}})
    x = torch.randn(7, 3)
    torch.testing.assert_close(program.module()(x), (7 - (x * 7 + 2 * x)) / 7)

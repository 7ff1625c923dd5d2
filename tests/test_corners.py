"""The corners of every dtype (largest, smallest, denormal, NaN, zeros, what wraps) in random layouts and promotions,
with every argument, against torch, on every kernel table. test_properties.py has gradients and destinations."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import DTYPES, FLOATING, ROWS, Sample, assert_matches, assert_same_bits, outcome, row_named

import torchext

ACTIVATIONS = [row.name for row in ROWS if row.family == "activation"]

examples = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def numbers(dtype: torch.dtype) -> st.SearchStrategy[Any]:
    """Ordinary values, small integers (ties, quotients near a boundary), and the corners of the dtype."""
    if not dtype.is_floating_point:
        info = torch.iinfo(dtype)
        corners = [0, 1, -1, 2, -2, 7, -7, info.max, info.min, info.max - 1, info.min + 1, info.max // 2]
        return st.sampled_from(corners) | st.integers(-20, 20) | st.integers(info.min, info.max)
    info = torch.finfo(dtype)
    denormal = info.smallest_normal * info.eps
    corners = [0.0, 1.0, 0.5, 3.0, info.max, info.tiny, info.tiny / 2, denormal, info.eps, 1 + info.eps, float("inf")]
    corners += [-corner for corner in corners] + [float("nan")]
    width = {torch.float64: 64, torch.float16: 16}.get(dtype, 32)
    any_number = st.floats(width=width, allow_nan=True, allow_infinity=True)
    return st.sampled_from(corners) | st.integers(-20, 20).map(float) | st.floats(-20, 20, width=width) | any_number


@st.composite
def tensors(draw, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor of the shape: dimensions in any order in memory, with gaps, at an offset, expanded."""
    order = draw(st.permutations(range(len(shape)))) if len(shape) > 1 else list(range(len(shape)))
    steps = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in shape]
    offsets = [draw(st.sampled_from([0, 0, 1])) for _ in shape]
    expanded = [draw(st.sampled_from([False, False, False, True])) for _ in shape]
    stored = [1 if e else size for size, e in zip(shape, expanded, strict=True)]
    memory = [offset + size * step for size, step, offset in zip(stored, steps, offsets, strict=True)]
    elements = 1
    for size in memory:
        elements *= size
    pool = draw(st.lists(numbers(dtype), min_size=1, max_size=24))
    # Repeated with a shift, so that two operands do not walk their pools in step.
    shift = draw(st.integers(0, 7))
    flat = torch.tensor([pool[(i * (2 * shift + 1)) % len(pool)] for i in range(elements)], dtype=dtype)
    base = flat.reshape([memory[i] for i in order]).permute([order.index(i) for i in range(len(shape))])
    for dim, (step, offset) in enumerate(zip(steps, offsets, strict=True)):
        base = base.narrow(dim, offset, base.size(dim) - offset)[(slice(None),) * dim + (slice(None, None, step),)]
    return base.expand(shape)


sizes = st.integers(0, 5) | st.sampled_from([1, 8, 9, 17, 33])
shapes = st.lists(sizes, max_size=3).map(tuple)


@st.composite
def broadcast_shapes(draw, count: int) -> list[tuple[int, ...]]:
    """Shapes of `count` operands that broadcast together; one time in eight something else, which torch must refuse."""
    full = draw(shapes)
    found = []
    for _ in range(count):
        kept = draw(st.integers(0, len(full))) if draw(st.booleans()) else len(full)
        own = full[len(full) - kept :]
        found.append(tuple(1 if draw(st.sampled_from([False, False, True])) else size for size in own))
    if draw(st.integers(0, 7)) == 0:
        found[-1] = draw(shapes)
    return found


def dtypes_with(dtype: torch.dtype) -> st.SearchStrategy[torch.dtype]:
    """The same one more often than another, which is promoted."""
    return st.just(dtype) | st.sampled_from((*DTYPES, torch.bool, torch.uint8, torch.complex64))


@st.composite
def operand(draw, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    other = draw(dtypes_with(dtype))
    if other in DTYPES:
        return draw(tensors(other, shape))
    return draw(tensors(torch.int32, shape)).to(other)


python_numbers = st.sampled_from([0, 1, -1, 2, -3, -0.0, 0.1, -2.5, float("inf"), float("nan"), True, 2**31, 2**40])


def trap(sample: Sample) -> bool:
    """Whether torch would die of SIGFPE: the most negative integer divided by -1."""
    a, b = sample.args
    dtype = torch.result_type(a, b)
    if not sample.kwargs.get("rounding_mode") or dtype not in (torch.int32, torch.int64):
        return False
    divisor = torch.as_tensor(b).to(dtype)
    return bool((a.to(dtype) == torch.iinfo(dtype).min).any() and (divisor == -1).any())


def bits(tensor: torch.Tensor) -> bytes:
    flat = tensor.clone(memory_format=torch.contiguous_format)
    return ctypes.string_at(flat.data_ptr(), flat.nbytes)


def compare(name: str, sample: Sample) -> None:
    """Same exception class, or the same dtype, shape, strides and values; inputs stay as they are."""
    row = row_named(name)
    stock = outcome(row.original, *sample.args, **sample.kwargs)
    for table in torchext.isa.available():
        before = [tensor.clone() for tensor in sample.tensors()]
        with torchext.isa.using(table):
            ours = outcome(row.function, *sample.args, **sample.kwargs)
        assert ours.error is stock.error, (table, ours, stock)
        if stock.error is None:
            if ours.result.dtype in DTYPES:
                assert_matches(row, ours.result, stock.result, sample, (table, name))
            else:
                assert_same_bits(ours.result, stock.result, (table, name))
        for tensor, copy in zip(sample.tensors(), before, strict=True):
            assert bits(tensor) == bits(copy), (table, "an input was written")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_arithmetic(name, dtype):
    """Bit for bit torch's: IEEE arithmetic has one right answer, and integers wrap."""

    @examples
    @given(st.data())
    def check(data):
        first, second = data.draw(broadcast_shapes(2))
        a = data.draw(tensors(dtype, first))
        b = data.draw(operand(dtype, second) | python_numbers)
        keywords: dict[str, Any] = {}
        if name == "div":
            keywords["rounding_mode"] = data.draw(st.sampled_from([None, "trunc", "floor"]))
        elif name != "mul" and (not isinstance(b, torch.Tensor) or b.dtype == dtype):
            keywords = data.draw(st.sampled_from([{}, {"alpha": 1}, {"alpha": 2}, {"alpha": -3}, {"alpha": 0.5}]))
        sample = Sample((a, b), keywords)
        if not (name == "div" and trap(sample)):
            compare(name, sample)

    check()


def overflows(sample: Sample) -> bool:
    """Whether a result is near or above the largest float32 or float64: the exact reference ends there."""
    wide = [x.double().nan_to_num(0, 0, 0) for x in sample.args]
    found = outcome(torch.addcmul, wide[2].abs(), wide[0].abs(), wide[1].abs()).result
    limit = torch.finfo(torch.float64 if sample.args[0].dtype == torch.float64 else torch.float32).max / 4
    return found is not None and bool((found > limit).any())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_fused_multiply_add(dtype):
    """One rounding of the exact result, in floating point; the wrapped result, in integers."""

    @examples
    @given(st.data())
    def check(data):
        operands = [data.draw(tensors(dtype, shape)) for shape in data.draw(broadcast_shapes(3))]
        sample = Sample(tuple(operands), {})
        if not overflows(sample):
            compare("fused_multiply_add", sample)

    check()


PARAMETERS: dict[str, dict[str, list]] = {
    "leaky_relu": {"negative_slope": [0.01, 0.0, -0.5, 2.0]},
    "elu": {"alpha": [1.0, 0.5, -1.0, 0.0]},
    "gelu": {"approximate": ["none", "tanh"]},
    "softplus": {"beta": [1, 0.5, 3.0], "threshold": [20, 1, 0]},
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, dtype):
    """Within the units that each function states; NaN and infinities agree exactly."""

    @examples
    @given(st.data())
    def check(data):
        x = data.draw(tensors(dtype, data.draw(shapes)))
        keywords = {key: data.draw(st.sampled_from(choices)) for key, choices in PARAMETERS.get(name, {}).items()}
        compare(name, Sample((x,), keywords))

    check()


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, dtype):
    """Along any dimension, one that does not exist included; the units are those of a sum of exponentials."""

    @examples
    @given(st.data())
    def check(data):
        x = data.draw(tensors(dtype, data.draw(shapes)))
        dim = data.draw(st.integers(-x.dim() - 1, x.dim()))
        cast = data.draw(st.sampled_from([None, None, None, torch.float32, torch.float64]))
        compare(name, Sample((x, dim), {"dtype": cast} if cast else {}))

    check()


def test_a_tensor_of_one_element_is_a_number():
    """ATen does not round it to the reduced precision of the other operand, whatever its rank."""
    a = torch.full((5,), 5.0, dtype=torch.bfloat16)
    b = torch.tensor([0.294921875], dtype=torch.bfloat16)
    for mode in ("trunc", "floor"):
        assert_same_bits(torchext.div(a, b, rounding_mode=mode), torch.div(a, b, rounding_mode=mode))
        assert_same_bits(torchext.div(a[:1], b, rounding_mode=mode), torch.div(a[:1], b, rounding_mode=mode))
    threes = torch.full((300,), 3.0, dtype=torch.bfloat16)
    assert_same_bits(torchext.mul(threes, torch.tensor([257])), torch.mul(threes, torch.tensor([257])))
    zero = torch.tensor(0.0, dtype=torch.float16)
    assert_same_bits(torchext.mul(zero, torch.tensor(70000)), torch.mul(zero, torch.tensor(70000)))


def test_out_of_another_dtype_is_resized_when_empty():
    for function in (torchext.add, torch.add):
        out = torch.empty(0, dtype=torch.float64)
        function(torch.ones(0, 3), torch.ones(3), out=out)
        assert out.shape == (0, 3)


def test_softplus_beyond_a_negative_threshold():
    x = torch.tensor([-3.0, -1.0, 0.5, 4.0])
    for beta, threshold in ((1.0, -5.0), (2.0, -1.0), (-1.0, -2.0)):
        ours, stock = (f(x, beta, threshold) for f in (torchext.softplus, torch.nn.functional.softplus))
        torch.testing.assert_close(ours, stock)


def test_elu_with_an_input_scale_that_is_not_positive():
    x, grad = torch.tensor([-150.0, -80.0, 2.0]), torch.ones(3)
    for scale in (-1.0, 0.0):
        assert_same_bits(torch.ops.rusttorch.elu(x, 1.0, 1.0, scale), torch.ops.aten.elu(x, 1.0, 1.0, scale))
        ours, stock = (
            packet.elu_backward(grad, 1.0, 1.0, scale, False, x) for packet in (torch.ops.rusttorch, torch.ops.aten)
        )
        assert_same_bits(ours, stock)


WRONG_NUMBERS = [
    lambda m: m.leaky_relu(torch.ones(2), 1e300), lambda m: m.elu(torch.ones(2), 1e300),
    lambda m: m.softplus(torch.ones(2), 1e300), lambda m: m.softplus(torch.ones(2), 1.0, 1e300),
    lambda m: m.leaky_relu(torch.ones(2), torch.ones(2)),
]  # fmt: skip


@pytest.mark.parametrize("call", WRONG_NUMBERS)
def test_parameters_that_do_not_fit(call):
    assert outcome(call, torchext).error is outcome(call, torch.nn.functional).error is not None


def test_kinds_of_numbers():
    """Refused: what only looks like a number, and alpha of another kind. Taken: NumPy's scalars, unsigned integers."""
    from decimal import Decimal
    from fractions import Fraction

    import numpy

    x, i = torch.ones(2), torch.ones(2, dtype=torch.int32)
    for value in (Fraction(1, 2), Decimal("0.5"), numpy.array(2), numpy.float32(2), numpy.int64(3), 2**63, -(2**64)):
        for call in (lambda m, v=value: m.add(x, v), lambda m, v=value: m.mul(i, v), lambda m, v=value: m.sub(v, x)):
            ours, stock = outcome(call, torchext), outcome(call, torch)
            assert ours.error is stock.error, value
            if stock.error is None:
                assert_same_bits(ours.result, stock.result, value)
    for alpha in (1.0, True, 1 + 0j, torch.ones(2)):
        call = lambda m, a=alpha: m.add(i, i, alpha=a)  # noqa: E731
        assert outcome(call, torchext).error is outcome(call, torch).error is not None


@pytest.mark.parametrize(
    "number",
    [
        torch.tensor(0.5), torch.tensor(0.3, dtype=torch.float64), torch.tensor(2), torch.tensor(True),
        torch.tensor(1 + 1j), torch.tensor([0.5]), torch.tensor(0.5, requires_grad=True),
        torch.tensor(2**63 + 5, dtype=torch.uint64),
    ],
    ids=str,
)  # fmt: skip
def test_tensors_as_numbers(number):
    """One without dimensions that requires no gradient is a number, as in torch."""
    x, square = torch.tensor([-1.0, 2.0]), torch.eye(2)
    functional = torch.nn.functional
    for name, args, kwargs, stock in (
        ("elu", (x, number), {}, functional),
        ("leaky_relu", (x, number), {}, functional),
        ("softplus", (x, number), {}, functional),
        ("add", (x, x), {"alpha": number}, torch),
        ("sub", (x, 3.0), {"alpha": number}, torch),
        ("add", (x, x), {"alpha": number, "out": torch.empty(2)}, torch),
        ("addmm", (square, square, square), {"beta": number, "alpha": number}, torch),
        ("baddbmm", (square[None], square[None], square[None]), {"beta": number}, torch),
    ):
        expected, got = (outcome(getattr(module, name), *args, **kwargs) for module in (stock, torchext))
        assert got.error is expected.error, name
        if expected.error is None:
            torch.testing.assert_close(got.result, expected.result)


def test_tensors_as_numbers_in_programs():
    """Compiled, and traced with the number still an input."""
    x, number = torch.tensor([-1.0, 2.0]), torch.tensor(0.5)
    compiled = torch.compile(lambda x, number: torchext.add(x, x, alpha=number), backend="eager")
    assert_same_bits(compiled(x, number), torch.add(x, x, alpha=number))
    traced = torch.jit.trace(torchext.elu, (x, number), check_trace=False)
    assert_same_bits(traced(x, torch.tensor(2.0)), torch.nn.functional.elu(x, 2.0))

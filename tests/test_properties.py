"""Random shapes, layouts, dtypes and values against torch: hypothesis looks for the smallest call that differs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operators import OVERLOADS, twin
from support import DTYPES, FLOATING, ROWS, Sample, assert_matches, assert_same_bits, outcome, row_named, supports

# No deadline: other work may slow this machine down. The same examples in every run.
bounded = settings(
    deadline=None, max_examples=60, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
ACTIVATIONS = [row.name for row in ROWS if row.family == "activation"]
BINARY = ["add", "sub", "mul", "div"]
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-3,
    -20.0,
    20.0,
    88.0,
    -88.0,
    1e-38,
    -1e-42,
    65_504.0,
    3e38,
    torch.inf,
    -torch.inf,
    torch.nan,
]


@st.composite
def tensors(draw, dtypes=FLOATING, shape=None, special=True) -> torch.Tensor:
    """A tensor of any layout: a permuted, stepped, offset or expanded view of a random buffer."""
    dtype = draw(st.sampled_from(dtypes))
    if shape is None:
        shape = draw(st.lists(st.integers(0, 9) | st.sampled_from([16, 17, 33]), max_size=4).map(tuple))
        if torch.Size(shape).numel() > 5000:
            shape = shape[:2]
    order = draw(st.permutations(range(len(shape))))
    steps = draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=len(shape), max_size=len(shape)))
    expand = draw(st.lists(st.sampled_from([False, False, False, True]), min_size=len(shape), max_size=len(shape)))
    stored = [1 if expand[i] else shape[i] * steps[i] for i in range(len(shape))]
    offset = draw(st.integers(0, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    count = torch.Size(stored).numel()
    values = torch.randn(count + offset, generator=generator, dtype=torch.float64) * draw(
        st.sampled_from([1.0, 30.0, 1e-4])
    )
    if special and count and dtype.is_floating_point:
        for _ in range(draw(st.integers(0, 3))):
            values[draw(st.integers(0, count - 1)) + offset] = draw(st.sampled_from(SPECIAL))
    values = values.to(dtype) if dtype.is_floating_point else (values * 100).to(dtype)
    view = values[offset:].view([stored[i] for i in order]).permute([order.index(i) for i in range(len(shape))])
    view = view[tuple(slice(None, None, 1 if expand[i] else steps[i]) for i in range(len(shape)))]
    return view.expand(shape)


@st.composite
def operands(draw) -> tuple[torch.Tensor, torch.Tensor]:
    """Two tensors whose shapes broadcast."""
    shape = draw(st.lists(st.integers(0, 6) | st.sampled_from([17, 40]), max_size=3).map(tuple))

    def part():
        kept = shape[draw(st.integers(0, len(shape))) :]
        return tuple(1 if draw(st.sampled_from([False, False, True])) else size for size in kept)

    first, second = (shape, part()) if draw(st.booleans()) else (part(), shape)
    return draw(tensors(DTYPES, first)), draw(tensors(DTYPES, second))


def agree(row, sample: Sample) -> None:
    ours = outcome(row.function, *sample.args, **sample.kwargs)
    stock = outcome(row.original, *sample.args, **sample.kwargs)
    assert ours.error is stock.error, (ours, stock)
    if stock.error is None:
        assert_matches(row, ours.result, stock.result, sample, [x.stride() for x in sample.tensors()])


@pytest.mark.parametrize("name", ACTIVATIONS)
@bounded
@given(x=tensors())
def test_activations(name, x):
    row = row_named(name)
    if x.isinf().any() and name in ("gelu", "silu", "mish"):
        # x * f(x) with f = 0 at -inf: the float64 formula gives nan where torch's limit holds (test_values.py).
        x = x.nan_to_num(torch.nan, 0.0, 0.0)
    agree(row, Sample((x,), {}))


@pytest.mark.parametrize("name", BINARY)
@bounded
@given(pair=operands())
def test_arithmetic(name, pair):
    """Two dtypes among the six, any broadcasting, any layout: the bits of torch."""
    agree(row_named(name), Sample(pair, {}))


@pytest.mark.parametrize("mode", ["trunc", "floor"])
@bounded
@given(pair=operands())
def test_rounded_division(mode, pair):
    """Zero divisors of integers raise in both; INT_MIN / -1 is test_values.py's."""
    agree(row_named("div"), Sample(pair, {"rounding_mode": mode}))


@pytest.mark.parametrize("name", BINARY)
@bounded
@given(x=tensors(DTYPES), number=st.floats(width=32) | st.integers(-(2**31), 2**31) | st.booleans())
def test_numbers(name, x, number):
    agree(row_named(name), Sample((x, number), {}))
    agree(row_named(name), Sample((number, x), {}))


@bounded
@given(x=tensors(), dim=st.integers(-5, 4), log=st.booleans())
def test_softmax(x, dim, log):
    """Any dim of any layout; slices with infinities are test_values.py's."""
    row = row_named("log_softmax" if log else "softmax")
    agree(
        row,
        Sample((x.nan_to_num(0.5, 60_000.0 if x.dtype == torch.float16 else 1e30, -30.0).clamp(-1e4, 1e4), dim), {}),
    )


@pytest.mark.parametrize("name", sorted(name for name in OVERLOADS if name.endswith("_.Tensor")))
@bounded
@given(pair=operands())
def test_inplace(name, pair):
    """Refused in the same cases, and the same bits where not."""
    a, b = pair
    ours, stock = a.clone(), a.clone()
    first, second = outcome(OVERLOADS[name], ours, b), outcome(twin(name), stock, b)
    assert first.error is second.error
    assert_same_bits(ours, stock)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if supports(row_named(name), torch.float64)])
@bounded
@given(x=tensors((torch.float64,), special=False), seed=st.integers(0, 99))
def test_gradients(name, x, seed):
    """Values and strides of the gradient for any layout of the input."""
    row = row_named(name)
    grad = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ours, stock = (
        torch.autograd.grad(f(y), y, grad)[0]
        for f in (row.function, row.original)
        for y in [x.detach().requires_grad_()]
    )
    if name != "softsign":  # a Python chain in torch, with the strides of its last operator
        assert ours.stride() == stock.stride()
    # Terms as large as the input (below 150) times the incoming gradient (below 5) cancel: some units of that.
    torch.testing.assert_close(ours, stock, rtol=1e-13, atol=1e-12)

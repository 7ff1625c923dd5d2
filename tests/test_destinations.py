"""In-place and ``out=``: what is written, where, and what is refused; every such overload against ATen's."""

from __future__ import annotations

import pytest
import torch
from operators import INPLACE, OUT, OVERLOADS, arguments, destination, point_of, twin, written
from support import outcome, taken

BINARY_INPLACE = [name for name in INPLACE if ".Tensor" in name]


def same(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Form exactly as torch; values to 16 epsilons of the float32 they come from, or of their own narrower type (the
    parity tests compare them to the unit)."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.stride() == expected.stride()
    floating = actual.dtype.is_floating_point or actual.dtype.is_complex
    epsilon = max(torch.finfo(torch.float32).eps, torch.finfo(actual.dtype).eps) if floating else 0
    torch.testing.assert_close(actual, expected, rtol=16 * epsilon, atol=16 * epsilon)


def compare(name: str, build) -> bool:
    """Calls ours and ATen's with separately built arguments; True if both ran. When refused, nothing may be written."""
    results = []
    for overload in (OVERLOADS[name], twin(name)):
        torch.manual_seed(3)
        positional, keywords = build(overload)
        target = written(overload, positional, keywords)
        base = target if target._base is None else target._base
        before = base.clone()
        pointer = target.data_ptr()
        result, error = outcome(overload, *positional, **keywords)
        if error is None:
            assert result is target
            assert name in OUT or target.data_ptr() == pointer
        elif "binary_cross_entropy" not in name:  # which writes until it meets an element outside of [0, 1]
            assert torch.equal(base, before), "refused, but written"
        results.append((error, target, base))
    (ours, target, base), (stock, stock_target, stock_base) = results
    assert ours is stock, (name, ours, stock)
    if stock is None:
        same(target, stock_target)
        same(base, stock_base)  # what lies around a view stays as it is
    return stock is None


def with_self(change):
    def build(overload):
        positional, keywords = arguments(overload, (6, 8))
        return [change(positional[0]), *positional[1:]], keywords

    return build


def with_operands(change):
    """``change(base)`` gives self and other as views of one tensor, or not."""

    def build(overload):
        positional, keywords = arguments(overload, (6, 8))
        return [*change(positional[0] + 3), *positional[2:]], keywords

    return build


SELVES = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.t(),
    "stepped": lambda x: x[:, ::2],
    "stepped rows": lambda x: x[1::2],
    "sliced": lambda x: x[1:5, 2:7],
    "channels_last": lambda x: x.view(1, 2, 4, 6).contiguous(memory_format=torch.channels_last),
    "float64": lambda x: x.double(),
    "bfloat16": lambda x: x.bfloat16(),
    "float16": lambda x: x.half(),
    "no elements": lambda x: x[:0],
    "0-dim": lambda x: x[0, 0],
}
REFUSED_SELVES = {
    "expanded": lambda x: x[:, :1].expand(6, 8),
    "one element expanded": lambda x: x[:1, :1].expand(3, 5),
}


@pytest.mark.parametrize("layout", [*SELVES, *REFUSED_SELVES])
@pytest.mark.parametrize(
    "name", [name for name in INPLACE if name not in ("dropout_", "bernoulli_.float")]
)  # random: test_dropout.py
def test_inplace_layouts(name, layout):
    change = (SELVES | REFUSED_SELVES)[layout]

    def build(overload):
        positional, keywords = arguments(overload, (6, 8))
        x = change(positional[0])
        rest = [
            change(other).to(x.dtype).clone() if isinstance(other, torch.Tensor) else other for other in positional[1:]
        ]
        return [x, *rest], keywords

    before = taken(point_of(name))
    ran = compare(name, build)
    assert ran == (layout in SELVES)
    if ran:
        assert taken(point_of(name)) > before


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.int8, torch.bool, torch.complex64], ids=str)
@pytest.mark.parametrize("name", INPLACE)
def test_inplace_dtypes(name, dtype):
    """Integers where torch has them; a result that does not fit the dtype is refused."""

    def build(overload):
        positional, keywords = arguments(overload, (6, 8))
        return [(positional[0] * 8).to(dtype), *positional[1:]], keywords

    compare(name, build)


OPERANDS = {
    "same tensor": (lambda x: (x, x), True),
    "alias with the same layout": (lambda x: (x, x.view(6, 8)), True),
    "transposed square": (lambda x: (x.flatten()[:36].view(6, 6), x.flatten()[:36].view(6, 6).t()), False),
    "shifted by one element": (lambda x: (x.flatten()[1:], x.flatten()[:-1]), False),
    "shifted by a row": (lambda x: (x[1:], x[:-1]), False),
    "interleaved columns": (lambda x: (x[:, ::2], x[:, 1::2]), True),
    "separate rows": (lambda x: (x[:3], x[3:]), True),
    "own row": (lambda x: (x, x[0]), False),
    "own element": (lambda x: (x, x[0, 0]), False),
    "row": (lambda x: (x, x[0].clone()), True),
    "column": (lambda x: (x, x[:, :1].clone()), True),
    "expanded other": (lambda x: (x, x[0].clone().expand(6, 8)), True),
    "0-dim": (lambda x: (x, x[0, 0].clone()), True),
    "larger other": (lambda x: (x[0], x.clone()), False),
    "other shape": (lambda x: (x, torch.ones(5)), False),
    "integer self": (lambda x: (x.int(), x.clone()), None),
    "integer other": (lambda x: (x, x.int()), True),
    "wider other": (lambda x: (x, x.double()), True),
    "narrower other": (lambda x: (x, x.bfloat16()), True),
    "complex other": (lambda x: (x, x.to(torch.complex64)), False),
    "bfloat16 self": (lambda x: (x.bfloat16(), x.clone()), True),
}


@pytest.mark.parametrize("case", OPERANDS)
@pytest.mark.parametrize("name", BINARY_INPLACE)
def test_inplace_operands(name, case):
    """Overlap, broadcasting and promotion. None: ATen's choice, whatever it is."""
    change, expected = OPERANDS[case]
    ran = compare(name, with_operands(change))
    assert expected is None or ran == expected


OUTS = {
    "right form": (lambda x: torch.empty_like(x), True),
    "empty": (lambda x: x.new_empty(0), True),
    "other shape": (lambda x: x.new_zeros(2, 3), True),
    "transposed": (lambda x: x.new_zeros(x.shape[::-1]).t(), True),
    "stepped": (lambda x: x.new_zeros(6, 16)[:, ::2], True),
    "inside a larger tensor": (lambda x: x.new_zeros(8, 10)[1:7, 1:9], True),
    "expanded": (lambda x: x.new_zeros(6, 1).expand(6, 8), False),
    "float64": (lambda x: x.new_zeros(6, 8, dtype=torch.float64), None),
    "bfloat16": (lambda x: x.new_zeros(6, 8, dtype=torch.bfloat16), None),
    "int64": (lambda x: x.new_zeros(6, 8, dtype=torch.int64), False),
    "bool": (lambda x: x.new_zeros(6, 8, dtype=torch.bool), False),
    "complex64": (lambda x: x.new_zeros(6, 8, dtype=torch.complex64), None),
}
OUT_ALIASES = {
    "the input": (lambda x: (x, x), True),
    "the input shifted": (lambda x: (x.flatten()[1:], x.flatten()[:-1]), None),
    "the input transposed": (lambda x: (x.flatten()[:36].view(6, 6), x.flatten()[:36].view(6, 6).t()), None),
}


@pytest.mark.parametrize("case", OUTS)
@pytest.mark.parametrize("name", OUT)
def test_out(name, case):
    make, expected = OUTS[case]

    def build(overload):
        positional, keywords = arguments(overload, (6, 8))
        return positional, {**keywords, destination(overload): make(positional[0])}

    ran = compare(name, build)
    assert expected is None or ran == expected or "logsumexp" in name  # whose `out` is resized


@pytest.mark.parametrize("case", OUT_ALIASES)
@pytest.mark.parametrize("name", OUT)
def test_out_aliases_an_input(name, case):
    make, expected = OUT_ALIASES[case]

    def build(overload):
        positional, keywords = arguments(overload, (6, 8))
        x, out = make(positional[0])
        other_tensor = x.clone() if "binary_cross_entropy" in overload._schema.name else x + 4  # probabilities
        rest = [other_tensor if isinstance(other, torch.Tensor) else other for other in positional[1:]]
        return [x, *rest], {**keywords, destination(overload): out}

    ran = compare(name, build)
    assert expected is None or ran == expected


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.int8, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", OUT)
def test_out_takes_the_inputs_dtype(name, dtype):
    def build(overload):
        positional, keywords = arguments(overload, (6, 8))
        positional = [(x * 8).to(dtype) if isinstance(x, torch.Tensor) else x for x in positional]
        return positional, {**keywords, destination(overload): torch.zeros(6, 8, dtype=dtype)}

    compare(name, build)


@pytest.mark.parametrize("name", [name for name in OUT if "softmax" not in name])
def test_out_runs_our_kernel(name):
    positional, keywords = arguments(OVERLOADS[name])
    before = taken(point_of(name))  # 0 before the first call
    OVERLOADS[name](*positional, **keywords)
    assert taken(point_of(name)) == before + 1


def test_functional_out_arguments():
    """torchext.add(..., out=) and its like return ``out`` itself."""
    import torchext

    x = torch.randn(3, 4)
    for function in (torchext.add, torchext.sub, torchext.mul, torchext.div):
        out = torch.empty(0)
        assert function(x, 2.0, out=out) is out
        same(out, getattr(torch, function.__name__)(x, 2.0))
    for function in (torchext.sigmoid, torchext.tanh):
        out = torch.empty(0)
        assert function(x, out=out) is out
        same(out, getattr(torch, function.__name__)(x))
    out = torch.empty(3, 4)
    assert torchext.div(x, x + 9, rounding_mode="trunc", out=out) is out
    same(out, torch.div(x, x + 9, rounding_mode="trunc"))


@pytest.mark.parametrize("name", ["add", "div", "tanh", "logsumexp", "sum", "mm", "bmm", "addmm", "baddbmm", "matmul"])
def test_out_must_be_a_tensor(name):
    import torchext

    x = torch.randn((2, 3, 3) if "bmm" in name else (3, 3))
    arguments = {"tanh": (x,), "logsumexp": (x, 0), "sum": (x, 0), "addmm": (x, x, x), "baddbmm": (x, x, x)}
    for module in (torch, torchext):
        with pytest.raises(TypeError, match=r"out"):
            getattr(module, name)(*arguments.get(name, (x, x)), out="text")

"""Writes csrc/kernels/piecewise_tables.h: polynomials for smooth functions of t >= 0 on 16 intervals.

    python tools/fit_piecewise.py > csrc/kernels/piecewise_tables.h      (needs mpmath; about a minute)

Interval j is [j - 1/2, j + 1/2] * step; its polynomial in u = t - (j + 1/2) * step minimises the largest error relative
to `scale`, by Remez exchanges. The steps have so few bits that j * step is exact, and u nearly always.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import mpmath as mp

mp.mp.dps = 40
NODES = 16
Function = Callable[[mp.mpf], mp.mpf]


class Table(NamedTuple):
    """One function to fit. ``scale`` is what errors are relative to; None: the function itself."""

    name: str
    meaning: str
    step: float
    degree: int
    function: Function
    scale: Function | None = None


def normal_cdf(t: mp.mpf) -> mp.mpf:
    return mp.erfc(t / mp.sqrt(2)) / 2


def normal_pdf(t: mp.mpf) -> mp.mpf:
    return mp.exp(-t * t / 2) / mp.sqrt(2 * mp.pi)


def logistic(t: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(t))


def cubic(t: mp.mpf) -> mp.mpf:
    return 2 * mp.sqrt(2 / mp.pi) * (t + mp.mpf("0.044715") * t**3)


def cubic_slope(t: mp.mpf) -> mp.mpf:
    return 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf("0.044715") * t**2)


def gate(t: mp.mpf) -> mp.mpf:
    return logistic(cubic(t))


def gate_slope(t: mp.mpf) -> mp.mpf:
    return t * gate(t) * (1 - gate(t)) * cubic_slope(t)


TABLES = [
    Table("kNormalTail", "Phi(-t)", 0.34375, 7, normal_cdf),
    Table(
        "kNormalTailSlope",
        "Phi(-t) - t phi(t), relative to the sum of both",
        0.3671875,
        7,
        lambda t: normal_cdf(t) - t * normal_pdf(t),
        lambda t: normal_cdf(t) + t * normal_pdf(t),
    ),
    Table("kGate", "s(2 sqrt(2/pi) (t + 0.044715 t^3)), s(y) = 1 / (1 + e^y)", 0.3203125, 7, gate),
    Table(
        "kGateSlope",
        "d/dt of t times the above, relative to the sum of its terms",
        0.328125,
        7,
        lambda t: gate(t) - gate_slope(t),
        lambda t: gate(t) + gate_slope(t),
    ),
    Table("kLogOfOnePlusExp", "log(1 + e^-t)", 0.875, 6, lambda t: mp.log1p(mp.exp(-t))),
]


def polynomial(coefficients: list[mp.mpf], u: mp.mpf) -> mp.mpf:
    return sum(c * u**k for k, c in enumerate(coefficients))


def fit(table: Table, node: int) -> tuple[list[mp.mpf], mp.mpf]:
    """Coefficients of one interval, lowest first, and the largest relative error."""
    end = mp.mpf(table.step) * (node + mp.mpf(1) / 2)
    low, high = (-mp.mpf(table.step) if node else -end), mp.mpf(0)
    count = table.degree + 1
    scale = table.scale or table.function
    points = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * i / count) for i in range(count, -1, -1)]
    grid = [low + (high - low) * mp.mpf(i) / 300 for i in range(301)]
    values = [(table.function(end + u), scale(end + u)) for u in grid]
    for _ in range(8):
        matrix, right = mp.matrix(count + 1, count + 1), mp.matrix(count + 1, 1)
        for row, u in enumerate(points):
            weight = 1 / scale(end + u)
            for k in range(count):
                matrix[row, k] = u**k * weight
            matrix[row, count] = (-1) ** row
            right[row] = table.function(end + u) * weight
        coefficients = list(mp.lu_solve(matrix, right))[:count]
        errors = [(polynomial(coefficients, u) - f) / s for u, (f, s) in zip(grid, values, strict=True)]
        extrema: list[int] = []
        for i, error in enumerate(errors):
            if extrema and (error > 0) == (errors[extrema[-1]] > 0):
                if abs(error) > abs(errors[extrema[-1]]):
                    extrema[-1] = i
            else:
                extrema.append(i)
        if len(extrema) != count + 1:
            break
        points = [grid[i] for i in extrema]
    return coefficients, max(abs(error) for error in errors)


def main() -> None:
    print("// Written by tools/fit_piecewise.py: coefficients for piecewise.h, [power][interval].")
    print("#pragma once\n\nnamespace rusttorch::RUSTTORCH_ISA {\n\n// clang-format off")
    for table in TABLES:
        fits = [fit(table, node) for node in range(NODES)]
        worst = max(error for _, error in fits)
        print(f"// {table.meaning}; error of the polynomials {mp.nstr(worst * 2**24, 2)} * 2^-24.")
        print(f"inline constexpr Piecewise<{table.degree}> {table.name} = {{{table.step}f, {{")
        for power in range(table.degree + 1):
            numbers = [float(mp.mpf(coefficients[power])) for coefficients, _ in fits]
            rounded = [hexadecimal(number) for number in numbers]
            print("    {" + ", ".join(rounded[:8]) + ",\n     " + ", ".join(rounded[8:]) + "},")
        print("}};\n")
    print("// clang-format on\n\n}  // namespace rusttorch::RUSTTORCH_ISA")


def hexadecimal(number: float) -> str:
    """The nearest float32 as a C++ literal: 24 bits are six digits behind the point."""
    text = float.hex(struct.unpack("f", struct.pack("f", number))[0])
    point, exponent = text.index(".") + 1, text.index("p")
    return text[: point + 6] + text[exponent:] + "f"


if __name__ == "__main__":
    main()

"""Text and JSON of `python -m torchext bench`."""

from __future__ import annotations

import json
import math
import platform
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

import torchext

if TYPE_CHECKING:
    from torchext._bench import Cell

LOSING = 0.95  # below this ratio a cell counts as slower; above it, as noise
HEADER = (
    f"{'operator':18} {'case':20} {'dtype':9} {'elements':>9} {'torch us':>9} {'compile us':>10} {'torchext us':>11} "
    f"{'spread':>6} {'torch/':>6} {'compile/':>8} {'limit':>5}"
)


def head() -> str:
    return (
        f"torchext {torchext.__version__} ({torchext.isa.current()}), torch {torch.__version__}, "
        f"Python {platform.python_version()}, {torch.get_num_threads()} threads, {platform.machine()}"
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _times(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e6:.2f}" if seconds < 1e-3 else f"{seconds * 1e6:.0f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def line(cell: Cell) -> str:
    times = cell.seconds
    limit = f"{min(cell.limit / times['torchext'], 9.99):.0%}"
    return (
        f"{cell.name:18} {cell.label:20.20} {str(cell.dtype).removeprefix('torch.'):9} {cell.elements:>9} "
        f"{_times(times.get('torch')):>9} {_times(times.get('compile')):>10} {_times(times['torchext']):>11} "
        f"{cell.spread:>6.0%} {_ratio(cell.ratio('torch')):>6} {_ratio(cell.ratio('compile')):>8} {limit:>5}"
    )


def loses(cell: Cell) -> bool:
    ratios = (cell.ratio("torch"), cell.ratio("compile"))
    return any(ratio is not None and ratio < LOSING for ratio in ratios)


def table(results: list[Cell], backward: bool) -> str:
    losing = [cell for cell in results if loses(cell)]
    what = "forward + backward" if backward else "forward"
    lines = [f"{what}: {len(losing)} of {len(results)} cells slower than torch or torch.compile (ratio below {LOSING})"]
    lines += [HEADER, *map(line, losing)] if losing else []
    lines += [
        "",
        "All cells. torch/ and compile/: their time over torchext's; limit: the limit's time over torchext's.",
    ]
    lines += [HEADER, *map(line, results), "", *_summary(results)]
    return "\n".join(lines)


def geometric_mean(values: Iterable[float]) -> float:
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


def _summary(results: list[Cell]) -> list[str]:
    """Geometric means by family, dtype and size; "all 13" joins activations and softmaxes."""
    groups: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in results:
        dtype, size = _name(cell.dtype), "shapes" if cell.on_grid else str(cell.elements)
        groups[cell.family, dtype, size].append(cell)
        if cell.family in ("activation", "softmax") and not cell.on_grid:
            groups["all 13", dtype, size].append(cell)
    lines = [
        f"{'geometric means':18} {'dtype':9} {'elements':>9} {'cells':>5} {'torch/':>6} {'compile/':>8} {'limit':>5}"
    ]
    for (family, dtype, size), members in sorted(groups.items(), key=lambda item: (item[0][:2], item[0][2].zfill(12))):
        compiled = [ratio for cell in members if (ratio := cell.ratio("compile")) is not None]
        lines.append(
            f"{family:18} {dtype:9} {size:>9} {len(members):>5} "
            f"{geometric_mean(cell.ratio('torch') or math.nan for cell in members):>6.2f} "
            f"{_ratio(geometric_mean(compiled) if compiled else None):>8} "
            f"{geometric_mean(cell.limit / cell.seconds['torchext'] for cell in members):>5.0%}"
        )
    return lines


def write_json(path: str, results: list[Cell], backward: bool) -> None:
    document = {
        "machine": head(),
        "backward": backward,
        "cells": [
            {
                "operator": cell.name,
                "family": cell.family,
                "case": cell.label,
                "dtype": _name(cell.dtype),
                "elements": cell.elements,
                "seconds": cell.seconds,
                "spread": cell.spread,
                "limit_seconds": cell.limit,
                "agrees": cell.agrees,
            }
            for cell in results
        ],
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")

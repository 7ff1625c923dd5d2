"""Which library computes a product faster here: `python -m torchext calibrate` measures it, and the result is kept.

The file is products.json in the user's cache folder ($XDG_CACHE_HOME/torchext, ~/.cache/torchext). It has an entry for
each machine, so that a home folder may be shared, and is read when torchext is imported. Without an entry, the
defaults of csrc/ops/product_choice.cpp hold.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import timeit
from collections.abc import Iterator
from pathlib import Path

import torch

from torchext import _C
from torchext._config import logger
from torchext._progress import Progress

DTYPES = (torch.float32, torch.float64)
LAYOUTS = ("NN", "NT", "TN")
SIZES = 13  # classes of a size: 1, 2 to 3, 4 to 7, ...
MOST_WORK = 1 << 29  # multiply-adds of the largest product that is measured
ROUNDS = 5
SAMPLE_SECONDS = 200e-6
MARGIN = 1.05  # by how much torch must win: less is noise

Class = tuple[int, int, int, int, int]  # dtype, layout, and the classes of rows, k and columns


def path() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torchext" / "products.json"


def machine() -> str:
    """What the figures hold for."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith(("model name", "CPU part")))
            model = next(names, model)
    except OSError:
        pass
    return f"{model}, {_C.current_isa()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def classes(most: int) -> Iterator[Class]:
    """All with sizes below 2 ** most."""
    sizes = range(most)
    yield from itertools.product(range(len(DTYPES)), range(len(LAYOUTS)), sizes, sizes, sizes)


def measurable(product: Class) -> Class:
    """The class itself, or for a large product the nearest one of at most MOST_WORK multiply-adds."""
    dtype, layout, *sizes = product
    while math.prod(map(_size, sizes)) > MOST_WORK:
        sizes[sizes.index(max(sizes))] -= 1
    return dtype, layout, sizes[0], sizes[1], sizes[2]


def _size(size_class: int) -> int:
    """In the middle of a class: 1, 3, 6, 12, 24, ..."""
    return max(1, 3 << size_class >> 1)


def torch_over_ours(product: Class) -> float:
    """Time of torch's product over the time of ours: minima of alternating samples, after a quick look."""
    from torchext.functional import mm  # not at the top: this module is loaded before it

    dtype, layout, rows, k, columns = product
    shapes = [(_size(rows), _size(k)), (_size(k), _size(columns))]
    a, b = (
        torch.randn(shape[::-1], dtype=DTYPES[dtype]).t() if letter == "T" else torch.randn(shape, dtype=DTYPES[dtype])
        for shape, letter in zip(shapes, LAYOUTS[layout], strict=True)
    )
    names = {"ours": mm, "torchs": torch.mm, "a": a, "b": b}
    timers = [timeit.Timer(f"{name}(a, b)", globals=names) for name in ("torchs", "ours")]
    quick = [min(timer.repeat(3, 1)) for timer in timers]
    if quick[0] > 1.3 * quick[1]:
        return quick[0] / quick[1]
    once = max(quick)
    count = max(1, math.ceil(SAMPLE_SECONDS / once))
    samples = [[timer.timeit(count) for timer in timers] for _ in range(ROUNDS)]
    return min(torchs for torchs, _ in samples) / min(ours for _, ours in samples)


def calibrate(most: int, show: bool) -> list[Class]:
    """The classes where torch is faster, measured with our kernels in use everywhere else."""
    before = _C.product_choices()
    plan = sorted({measurable(product) for product in classes(most)})
    progress = Progress(len(plan)) if show else None
    torchs: set[Class] = set()
    _C.use_product_choices([])
    try:
        for done, product in enumerate(plan, 1):
            # Twice, because a disturbance can only make something slower.
            if torch_over_ours(product) * MARGIN < 1 and torch_over_ours(product) * MARGIN < 1:
                torchs.add(product)
            if progress and done % 100 == 0:
                progress.show(done, f"{done}/{len(plan)}, {len(torchs)} for torch")
    finally:
        _C.use_product_choices(before)
    return [product for product in classes(most) if measurable(product) in torchs]


def load() -> bool:
    """Uses this machine's entry of the file; True if there is one. A file that cannot be read is worth a warning."""
    file = path()
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        if (entry := entries.get(machine())) is None:
            return False
        _C.use_product_choices([tuple(product) for product in entry])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.warning("%s is ignored (%s): run `python -m torchext calibrate` again, or delete it.", file, error)
        return False
    return True


def save(torchs: list[Class]) -> Path:
    """Writes this machine's entry; the others stay."""
    file = path()
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        entries = {}
    if not isinstance(entries, dict):
        entries = {}
    entries[machine()] = torchs
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = file.with_suffix(f".{os.getpid()}")
    whole.write_text(json.dumps(entries), encoding="utf-8")
    whole.replace(file)  # a reader sees the old or the new file
    return file


def main(arguments: argparse.Namespace) -> int:
    if arguments.reset:
        path().unlink(missing_ok=True)
        _C.use_default_product_choices()
        print("The defaults are in use.")
        return 0
    print(machine(), flush=True)
    torchs = calibrate(arguments.sizes, show=True)
    print(f"torch is faster for {len(torchs)} of {len(list(classes(arguments.sizes)))} classes of products.")
    if arguments.show:
        for dtype, layout, *sizes in torchs:
            rows, k, columns = map(_size, sizes)
            print(f"{str(DTYPES[dtype])[6:]} {LAYOUTS[layout]} ({rows},{k})x({k},{columns})")
    _C.use_product_choices(torchs)
    print(f"Kept in {save(torchs)}; `python -m torchext calibrate --reset` forgets it.")
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reset", action="store_true", help="forget what was measured, on every machine")
    parser.add_argument("--show", action="store_true", help="list the classes where torch is faster")
    parser.add_argument(
        "--sizes", type=int, default=SIZES, choices=range(1, SIZES + 1), metavar="N",
        help=f"only sizes below 2**N, default {SIZES}: all",
    )  # fmt: skip

"""Pooled CPU memory: large tensors without page faults.

A fresh tensor of many megabytes is mapped by the system page by page while it is first written, which takes several
times as long as an addition. The pool keeps the blocks of freed tensors and hands them out again. Results of torchext's
own functions come from it always; :func:`install` makes it the allocator of every CPU tensor, so that stock operators,
optimizers and user code gain too.

Functions have the names, and statistics the keys, of ``torch.cuda.memory_*``. They count pooled blocks, that is,
tensors of 64 KiB and more.

``TORCHEXT_ALLOC_CONF`` sets the pool up from outside, e.g. ``TORCHEXT_ALLOC_CONF=limit_mb:512,decay_ms:1000``:

- ``limit_mb``: idle memory that this process keeps at most, in MiB; default one eighth of RAM, or of the control
  group's limit. Several processes keep as much each.
- ``decay_ms``: idle memory older than this goes back to the system at a later large request; default 10000.
- ``huge_pages``: ``true`` (default) or ``false``: ask for huge pages for blocks of 2 MiB and more.
"""

from __future__ import annotations

import os
from typing import Any

import torch

from torchext import _C
from torchext._config import logger

__all__ = [
    "empty_cache", "get_limit", "install", "is_installed", "max_memory_allocated", "max_memory_reserved",
    "mem_get_info", "memory_allocated", "memory_reserved", "memory_stats", "memory_summary", "reset_peak_memory_stats",
    "set_limit", "uninstall",
]  # fmt: skip

Device = torch.device | str | None


def install() -> None:
    """Makes the pool the allocator of every CPU tensor of the process.

    Call it before other threads start. Tensors that exist keep their memory. Calling it again changes nothing.

    Raises:
        RuntimeError: another library's allocator cannot be replaced; it stays in place.

    Example:
        >>> import torchext
        >>> torchext.memory.install()
        >>> torchext.memory.is_installed()
        True
        >>> torchext.memory.uninstall()
    """
    _acquire("user")


def uninstall() -> None:
    """New tensors come from torch's own allocator again; live ones stay valid and return to the pool when freed."""
    _holders.clear()
    _C.memory.uninstall()


# On whose behalf the pool is installed: "user", "patch". It goes when nobody wants it any more.
_holders: set[str] = set()


def _acquire(holder: str) -> None:
    problem = _C.memory.install()
    if problem:
        raise RuntimeError(f"install(): expected to replace torch's CPU allocator, but {problem}")
    if _C.memory.is_foreign_allocator():
        logger.warning("memory.install(): found another library's CPU allocator; it still serves what is not pooled")
    if not _C.memory.is_pooling():
        logger.warning("memory.install(): built with AddressSanitizer, so nothing is pooled")
    _holders.add(holder)


def _release(holder: str) -> None:
    if holder in _holders:
        _holders.discard(holder)
        if not _holders:
            _C.memory.uninstall()


def is_installed() -> bool:
    """Whether the pool serves every CPU tensor."""
    return bool(_C.memory.is_installed())


def set_limit(limit_bytes: int) -> None:
    """Bounds idle memory, which is neither used by a tensor nor returned to the system.

    Args:
        limit_bytes: 0 keeps nothing.

    Raises:
        ValueError: a negative number, or one of more than 63 bits.
    """
    if not 0 <= limit_bytes < 1 << 63:
        raise ValueError(f"set_limit(): expected a number of bytes that is not negative, got {limit_bytes}")
    _C.memory.configure(**{**_C.memory.settings(), "limit_bytes": limit_bytes})


def get_limit() -> int:
    """The bound of idle memory in bytes."""
    return int(_C.memory.settings()["limit_bytes"])


def memory_allocated(device: Device = None) -> int:
    """Bytes of pooled memory that live tensors hold, rounded up to the sizes of blocks."""
    return int(_statistics(device)["allocated_bytes"]["current"])


def max_memory_allocated(device: Device = None) -> int:
    """The largest :func:`memory_allocated` since the start or :func:`reset_peak_memory_stats`."""
    return int(_statistics(device)["allocated_bytes"]["peak"])


def memory_reserved(device: Device = None) -> int:
    """Bytes that the pool has from the system: those of live tensors and idle ones."""
    return int(_statistics(device)["reserved_bytes"]["current"])


def max_memory_reserved(device: Device = None) -> int:
    """The largest :func:`memory_reserved` since the start or :func:`reset_peak_memory_stats`."""
    return int(_statistics(device)["reserved_bytes"]["peak"])


def memory_stats(device: Device = None) -> dict[str, int]:
    """Every statistic under the keys of :func:`torch.cuda.memory_stats`.

    Returns:
        ``"<what>.all.<figure>"`` for ``what`` in ``requested_bytes`` (as asked for), ``allocated_bytes`` (blocks of
        live tensors), ``reserved_bytes`` (all blocks), ``allocation`` and ``segment`` (numbers of live and of all
        blocks), and ``figure`` in ``current``, ``peak``, ``allocated``, ``freed`` (since the start); then
        ``num_alloc_retries`` (requests for which idle blocks had to go back to the system) and ``num_ooms`` (requests
        that the pool could not serve).

    Example:
        >>> import torch, torchext
        >>> before = torchext.memory.memory_stats()["requested_bytes.all.current"]
        >>> x = torchext.relu(torch.zeros(1 << 20))
        >>> torchext.memory.memory_stats()["requested_bytes.all.current"] - before
        4194304
    """
    result: dict[str, int] = {}
    for name, value in _statistics(device).items():
        if isinstance(value, dict):
            result |= {f"{name}.all.{figure}": number for figure, number in value.items()}
        else:
            result[name] = value
    return result


def memory_summary(device: Device = None) -> str:
    """The statistics as a table for people."""
    statistics = _statistics(device)
    lines = [f"{'':16} {'current':>12} {'peak':>12} {'allocated':>14} {'freed':>14}"]
    for name, label in (
        ("requested_bytes", "requested"), ("allocated_bytes", "allocated"), ("reserved_bytes", "reserved"),
        ("allocation", "live blocks"), ("segment", "mapped blocks"),
    ):  # fmt: skip
        unit = (1 << 20) if name.endswith("_bytes") else 1
        figures = [statistics[name][figure] / unit for figure in ("current", "peak", "allocated", "freed")]
        label += " MiB" if unit > 1 else ""
        lines.append(f"{label:16} {figures[0]:12.0f} {figures[1]:12.0f} {figures[2]:14.0f} {figures[3]:14.0f}")
    settings = _C.memory.settings()
    lines.append(
        f"limit of idle memory {settings['limit_bytes'] / (1 << 20):.0f} MiB, kept for {settings['decay_ms']} ms, "
        f"huge pages {'asked for' if settings['huge_pages'] else 'off'}; retries {statistics['num_alloc_retries']}, "
        f"failures {statistics['num_ooms']}; {'serves every CPU tensor' if is_installed() else 'not installed'}"
    )
    return "\n".join(lines)


def reset_peak_memory_stats(device: Device = None) -> None:
    """Peaks start again from the current figures."""
    _check(device)
    _C.memory.reset_peaks()


def empty_cache() -> None:
    """Returns all idle memory to the system, that of the C library's allocator too."""
    _C.memory.empty_cache()


def mem_get_info(device: Device = None) -> tuple[int, int]:
    """Bytes that are available, and in all: of RAM, or of the control group when that has less."""
    _check(device)
    free, total = _C.memory.info()
    return int(free), int(total)


def _statistics(device: Device) -> dict[str, Any]:
    _check(device)
    result: dict[str, Any] = _C.memory.statistics()
    return result


def _check(device: Device) -> None:
    if device is not None and torch.device(device).type != "cpu":
        raise ValueError(f"expected the CPU or None as device, got {device}")


def _configure(text: str) -> None:
    """Applies ``TORCHEXT_ALLOC_CONF``; all of it or, if a part is wrong, nothing."""
    settings = dict(_C.memory.settings())
    for part in filter(None, text.split(",")):
        name, _, value = part.partition(":")
        if name == "limit_mb" and value.isdecimal() and int(value) < 1 << 43:
            settings["limit_bytes"] = int(value) << 20
        elif name == "decay_ms" and value.isdecimal() and int(value) < 1 << 63:
            settings["decay_ms"] = int(value)
        elif name == "huge_pages" and value in ("true", "false"):
            settings["huge_pages"] = value == "true"
        else:
            raise ValueError(
                "TORCHEXT_ALLOC_CONF: expected parts of the form limit_mb:<MiB>, decay_ms:<milliseconds> or "
                f"huge_pages:<true|false>, separated by commas, got {part!r}"
            )
    _C.memory.configure(**settings)


_configure(os.environ.get("TORCHEXT_ALLOC_CONF", ""))

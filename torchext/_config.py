"""What is installed and what it runs on."""

from __future__ import annotations

import logging
import os
import platform

import torch

from torchext import _C, isa
from torchext._build_info import COMPILER, TORCH_VERSION
from torchext._version import __version__

logger = logging.getLogger("torchext")
logger.addHandler(logging.NullHandler())


def show_config() -> str:
    """Describes the installed torchext: versions, kernels in use, threads.

    Returns:
        A text of a few lines, ``name: value`` each, meant for people and bug reports.

    Example:
        >>> import torchext
        >>> print(torchext.show_config())  # doctest: +ELLIPSIS
        torchext: ...
    """
    rows = {
        "torchext": __version__,
        "torch": f"{torch.__version__} (built for {TORCH_VERSION})",
        "compiler": COMPILER,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "kernels": f"{isa.current()} ({_C.float_lanes()} float32 lanes), available: {', '.join(isa.available())}",
        "TORCHEXT_ISA": os.environ.get("TORCHEXT_ISA", "not set"),
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} CPUs",
        "torch kernels": torch.backends.cpu.get_cpu_capability(),
    }
    return "\n".join(f"{name}: {value}" for name, value in rows.items())

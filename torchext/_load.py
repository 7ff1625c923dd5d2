"""Loads the compiled module and, where that fails, says why in one sentence."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

import torch

from torchext._build_info import TORCH_VERSION


def _release(version: str) -> tuple[str, ...]:
    """("2", "13") for "2.13.0+cpu": releases with the same two numbers share an ABI."""
    return tuple(version.split("+")[0].split(".")[:2])


def load() -> ModuleType:
    """Returns torchext._C.

    Raises:
        ImportError: the library is missing, or was built for another torch; the text says which and what to do.
        ValueError: the environment variable TORCHEXT_ISA names a kernel table this machine does not have.
    """
    if _release(torch.__version__) != _release(TORCH_VERSION):
        raise ImportError(
            f"torchext was built for torch {TORCH_VERSION} but torch {torch.__version__} is installed: install that "
            "torch, or rebuild torchext with `pip install --no-build-isolation --force-reinstall --no-deps torchext`."
        )
    try:
        module = importlib.import_module("torchext._C")
    except ImportError as error:
        raise ImportError(
            f"torchext._C, the compiled part of torchext, could not be loaded ({error}): build it with "
            f"`pip install --no-build-isolation -e .` (Python {sys.version.split()[0]}, torch {torch.__version__})."
        ) from error
    if problem := module.isa_environment_error():
        raise ValueError(f"TORCHEXT_ISA={os.environ.get('TORCHEXT_ISA', '')!r}: {problem}")
    return module

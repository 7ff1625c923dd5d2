"""Faster CPU operators for PyTorch.

``torchext.X`` has the meaning and the signature of torch's X (``torchext.mish`` of ``torch.nn.functional.mish``) and
runs a SIMD kernel where the input allows it; everything else runs in ATen, bit for bit. Importing changes nothing in
torch.
"""

import os as _os
from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING

from torchext._load import load as _load

_C: _ModuleType = _load()

from torchext._calibrate import load as _load_calibration  # noqa: E402

_load_calibration()

from torchext import functional as functional  # noqa: E402
from torchext import isa as isa  # noqa: E402
from torchext import memory as memory  # noqa: E402
from torchext import nn as nn  # noqa: E402
from torchext._config import logger as _logger  # noqa: E402
from torchext._config import show_config as show_config  # noqa: E402
from torchext._explain import explain as explain  # noqa: E402
from torchext._patch import is_patched as is_patched  # noqa: E402
from torchext._patch import patch as patch  # noqa: E402
from torchext._patch import patched as patched  # noqa: E402
from torchext._patch import unpatch as unpatch  # noqa: E402
from torchext._patch_report import report as report  # noqa: E402
from torchext._patch_report import reset_report as reset_report  # noqa: E402
from torchext._verify import verify as verify  # noqa: E402
from torchext._version import __version__ as __version__  # noqa: E402
from torchext.functional import *  # noqa: E402, F403

if not TYPE_CHECKING:  # a type checker follows the imports above, but not this sum
    __all__ = [
        "__version__", "explain", "functional", "is_patched", "isa", "memory", "nn", "patch", "patched", "report",
        "reset_report", "show_config", "unpatch", "verify",
        *functional.__all__,
    ]  # fmt: skip

if _os.environ.get("TORCHEXT_PATCH"):
    from torchext_autoload import main as _main

    _main()

_logger.debug("torchext %s loaded, kernels: %s", __version__, isa.current())

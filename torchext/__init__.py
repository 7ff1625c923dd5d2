"""Faster CPU operators for PyTorch.

``torchext.X`` has the meaning and the signature of torch's X (``torchext.mish`` of ``torch.nn.functional.mish``) and runs
a SIMD kernel where the input allows it; everything else runs in ATen, bit for bit. Importing changes nothing in torch.
"""

from torchext._load import load as _load

_C = _load()

from torchext import functional, isa, nn  # noqa: E402
from torchext._config import logger as _logger  # noqa: E402
from torchext._config import show_config  # noqa: E402
from torchext._version import __version__  # noqa: E402
from torchext.functional import *  # noqa: E402, F403

__all__ = ["__version__", "functional", "isa", "nn", "show_config", *functional.__all__]

_logger.debug("torchext %s loaded, kernels: %s", __version__, isa.current())

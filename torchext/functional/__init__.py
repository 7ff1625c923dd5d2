"""Drop-in functions: torch's names, signatures, broadcasting, type promotion, autograd and error classes.

What holds for all of them: float32, float64, bfloat16 and float16 tensors (int32, int64 where torch has them) on the
CPU run our kernels, in any layout; reduced precisions compute in float32 and round once. Any other input is handed to
ATen, so that the result, or the exception, is torch's. Derivatives of any order and mode work as in torch.
"""

from typing import TYPE_CHECKING

from torchext.functional import (
    _dropout,
    _entropy,
    _linear_entropy,
    _logsumexp,
    _normalization,
    _softmax,
    activations,
    arithmetic,
    losses,
    products,
    reductions,
)
from torchext.functional._dropout import *  # noqa: F403
from torchext.functional._entropy import *  # noqa: F403
from torchext.functional._linear_entropy import *  # noqa: F403
from torchext.functional._logsumexp import *  # noqa: F403
from torchext.functional._normalization import *  # noqa: F403
from torchext.functional._softmax import *  # noqa: F403
from torchext.functional.activations import *  # noqa: F403
from torchext.functional.arithmetic import *  # noqa: F403
from torchext.functional.losses import *  # noqa: F403
from torchext.functional.products import *  # noqa: F403
from torchext.functional.reductions import *  # noqa: F403

if not TYPE_CHECKING:  # a type checker follows the imports above, but not this sum
    __all__ = [
        *arithmetic.__all__, *activations.__all__, *_softmax.__all__, *reductions.__all__, *_logsumexp.__all__,
        *losses.__all__, *_entropy.__all__, *_linear_entropy.__all__,
        *_normalization.__all__, *_dropout.__all__, *products.__all__,
    ]  # fmt: skip

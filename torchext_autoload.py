"""What ``import torch`` calls, by its entry points ``torch.backends``: patches where TORCHEXT_PATCH says so.

A module of its own, so that without that variable not even torchext is imported.
"""

import os


def main() -> None:
    """``TORCHEXT_PATCH=1``: :func:`torchext.patch`; ``TORCHEXT_PATCH=gelu,loss``: these alone; empty or 0: nothing."""
    names = [name for name in os.environ.get("TORCHEXT_PATCH", "").split(",") if name]
    if not names or names == ["0"]:
        return
    import torchext

    torchext.patch(only=None if names == ["1"] else names)

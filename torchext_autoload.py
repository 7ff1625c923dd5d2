"""What ``import torch`` calls, by its entry points ``torch.backends``: patches where TORCHEXT_PATCH says so.

A module of its own, so that without that variable not even torchext is imported.
"""

import os


def main() -> None:
    """``TORCHEXT_PATCH=1``: :func:`torchext.patch`; ``TORCHEXT_PATCH=gelu,loss``: these alone; empty or 0: nothing."""
    names = [name.strip() for name in os.environ.get("TORCHEXT_PATCH", "").split(",") if name.strip()]
    if not names or names == ["0"]:
        return
    import torchext

    if not hasattr(torchext, "patch"):
        return  # it is importing torch: its own import ends with this call

    torchext.patch(only=None if names == ["1"] else names)

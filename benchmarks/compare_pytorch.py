"""Every operator against PyTorch: the same as `python -m torchext bench`, whose options it takes."""

import sys

from torchext.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))

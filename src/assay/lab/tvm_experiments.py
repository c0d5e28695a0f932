"""``python -m assay.lab.tvm_experiments``: the same as ``assay lab``, by the lab's old name."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the lab with the flags on the command line."""
    from assay.cli.main import main as command

    command(["lab", *sys.argv[1:]])


if __name__ == "__main__":
    main()

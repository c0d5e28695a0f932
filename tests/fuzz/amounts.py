"""How much is tried: a fixed small part with every change, as much as one wants with ``make fuzz``.

Everything is drawn from ``SEED``: the same seed tries the same again, another one something else.
"""

from __future__ import annotations

import os


def _number(name: str, default: int) -> int:
    return int(os.environ.get(f"ASSAY_FUZZ_{name}", default))


SEED = _number("SEED", 0)
FILES = _number("FILES", 240)  # damaged files, read
COMMANDS = _number("COMMANDS", 3)  # damaged files of each model that are compiled and run as well
NETWORKS = _number("NETWORKS", 0)  # random networks of each kind; 0 for a few
KILLS = _number("KILLS", 2)  # moments of a lab run

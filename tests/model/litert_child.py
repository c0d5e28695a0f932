"""Load each file of a folder in LiteRT; a crash in native code ends only this process.

Prints the name of each file before it is loaded: the last one is the culprit.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter

for path in sorted(Path(sys.argv[1]).iterdir()):
    print(path.name, flush=True)
    with contextlib.suppress(ValueError, RuntimeError):  # LiteRT says no in its own words
        Interpreter(model_path=str(path)).allocate_tensors()

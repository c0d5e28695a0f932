"""Read mutants of a model: ``python -m tests.fuzz.reader_child MODEL FROM TO FOLDER``.

Prints a line for each number before it is read, and what became of it; a crash, or more than
``SECONDS`` for one file, ends this process, and the last line names the culprit. Files that pass
stay in FOLDER. Any file that Python opens for writing elsewhere is reported as ``outside``.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from assay.errors import AssayError
from assay.model.reader import read
from assay.processes import Limits, limit
from tests.fuzz.mutants import Mutator

SECONDS = 20  # of CPU time, which a paused or busy machine does not use up
MEMORY_BYTES = 4 << 30
_WRITING = ("w", "a", "x", "+")


def main() -> None:
    model, start, stop, folder = sys.argv[1:]
    mutator = Mutator(Path(model).read_bytes())
    inside = Path(folder).resolve()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[1], str):
            path, mode = arguments[:2]
            writes = any(letter in mode for letter in _WRITING) and not isinstance(path, int)
            if writes and not Path(str(path)).resolve().is_relative_to(inside):
                print(f"outside {path}", flush=True)

    limit(Limits(MEMORY_BYTES, 3600))
    sys.addaudithook(watch)
    for number in range(int(start), int(stop)):
        print(number, end=" ", flush=True)
        path = inside / f"{number}.tflite"
        path.write_bytes(mutator.mutant(number))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            read(path)
        except AssayError as error:
            clean = str(error).startswith(str(path)) and "\n" not in str(error)
            print("refused" if clean else f"unclear {error!r}", flush=True)
            path.unlink()
        else:
            print("read", flush=True)
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main()

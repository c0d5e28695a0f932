"""The parent's end of a contender's process: start it, ask it, and know how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from assay.processes import cause_of_death

# Whoever sets these for one runtime would handicap or favour it, so contenders do not see them.
_THREAD_VARIABLES = ("TVM_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "TBB_", "ORT_", "OV_")

_LAST_WORDS = 200
_GRACE_S = 10


class ChildFailed(Exception):  # noqa: N818 - it is an outcome, not the fault of this program
    """A contender's process cannot go on; the message says in one sentence why."""


class Child:
    """A running process. Use as a context manager, or call ``close``: it kills what is left."""

    def __init__(self, threads: int, cores: tuple[int, ...], scratch: Path) -> None:
        self._log = scratch / "stderr"
        mine, theirs = Pipe()
        self._channel = mine
        arguments = [str(theirs.fileno()), str(os.getpid()), ",".join(map(str, cores))]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "assay.timing.contender", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(os.environ, threads, scratch),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the parent, which then ends all
            )
        theirs.close()  # else the end of the process would not close the connection

    def ask(self, do: str, limit_s: float, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer; ChildFailed if there is none, or an error."""
        try:
            self._channel.send_bytes(json.dumps({"do": do, **request}).encode())
            if not self._channel.poll(limit_s):
                self.close()
                raise ChildFailed(f"it gave no answer to {do!r} within {limit_s:g} s")
            answer: dict[str, Any] = json.loads(self._channel.recv_bytes())
        except (EOFError, OSError) as error:
            raise ChildFailed(self._how_it_ended()) from error
        if "error" in answer:
            raise ChildFailed(answer["error"])
        return answer

    def close(self) -> None:
        """Kill the process with all that it started, and wait for it."""
        self._channel.close()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and nobody has waited for it yet
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.close()
            return "its process stopped to answer"
        if code < 0:
            return f"its process died of {cause_of_death(-code)}"
        words = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
        return f"its process ended with code {code}: {words[0][:_LAST_WORDS]}"


def environment(inherited: Mapping[str, str], threads: int, scratch: Path) -> dict[str, str]:
    """Return the environment of a contender: nobody's thread settings but these.

    TVM 0.27 reads ``TVM_NUM_THREADS`` (else it takes half the cores for hyper-threads) and
    ``TVM_BIND_THREADS`` (else it pins the calling thread, whatever cores were chosen). Its workers
    spin for ``TVM_THREAD_POOL_SPIN_COUNT`` rounds, which the runtime itself sets. OpenBLAS would
    start threads as soon as NumPy is imported. Temporary files go to ``scratch``, as a process that
    is killed cannot remove them.
    """
    kept = {
        name: value for name, value in inherited.items() if not name.startswith(_THREAD_VARIABLES)
    }
    return {
        **kept,
        "TVM_NUM_THREADS": str(threads),
        "TVM_BIND_THREADS": "0",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "TMPDIR": str(scratch),
        "PYTHONSAFEPATH": "1",  # -m would import a numpy.py of the current directory
    }

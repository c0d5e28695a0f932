"""A runtime in a process of its own, as a runtime: its crash is an error, not the caller's end.

It is asked over a pipe; the other end is :mod:`assay.runtimes.isolated_child`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from assay import errors
from assay.errors import AssayError, CrashError
from assay.model.spec import TensorSpec
from assay.processes import end_of, keep
from assay.runtimes.base import BaseRuntime
from assay.runtimes.isolated_child import pack, unpack

# After its pipe is closed; only a process that is stuck needs longer.
_END_S = 10

if TYPE_CHECKING:
    from assay.runtimes.base import Array


class IsolatedRuntime(BaseRuntime):
    """A model that is loaded in a child process; not for several threads at once."""

    def __init__(self, name: str, path: Path, threads: int) -> None:
        self._path = path
        self._child = _Child()
        self.close = weakref.finalize(self, self._child.end)  # type: ignore[method-assign]
        try:
            answer, _ = self._ask("load", runtime=name, path=str(path), threads=threads)
        except AssayError:
            self.close()
            raise
        self.name, self.threads = answer["name"], answer["threads"]
        self.inputs = tuple(map(TensorSpec.from_dict, answer["inputs"]))
        self.outputs = tuple(map(TensorSpec.from_dict, answer["outputs"]))

    def run(self) -> None:
        """Run one inference on the inputs set before; CrashError if the child died."""
        self._ask("run")

    def _write(self, index: int, value: Array) -> None:
        self._ask("write", value.tobytes(), index=index)

    def _read(self, index: int) -> Array:
        import numpy as np

        answer, data = self._ask("read", index=index)
        value: Array = np.frombuffer(bytearray(data), answer["dtype"]).reshape(answer["shape"])
        return value

    def _ask(self, do: str, data: bytes = b"", **request: Any) -> tuple[dict[str, Any], memoryview]:
        if not self.close.alive:  # type: ignore[attr-defined]
            raise CrashError(f"{self._path}: its process has ended; load it again")
        try:
            answer, result = unpack(self._child.exchange(pack({"do": do, **request}, data)))
        except (EOFError, OSError):
            how = self._child.last_words()
            self.close()
            raise CrashError(f"{self._path}: the process that ran it ended by {how}") from None
        except BaseException:  # Ctrl-C: the answer to the next request would be the one to this
            self.close()
            raise
        if "error" in answer:
            raise getattr(errors, answer["kind"])(answer["error"])
        return answer, result


def open_isolated(name: str, path: Path, threads: int = 1) -> IsolatedRuntime:
    """Load a model into the runtime of that name, in a child process with limits (SECURITY.md).

    Raises what the runtime raises, and CrashError if the child died.
    """
    return IsolatedRuntime(name, path, threads)


class _Child:
    """The process, and the pipe to it."""

    def __init__(self) -> None:
        self._scratch = TemporaryDirectory(prefix="assay-")
        self._log = Path(self._scratch.name) / "stderr"
        self._channel, theirs = Pipe()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "assay.runtimes.isolated_child", str(theirs.fileno())],
                stdin=subprocess.PIPE,  # closed by the end of this process: the child ends, too
                stdout=log,
                stderr=log,
                env={**os.environ, "TMPDIR": self._scratch.name, "PYTHONSAFEPATH": "1"},
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the caller, whose end is the child's
            )
        theirs.close()  # else the end of the process would not close the pipe

    def exchange(self, message: bytes) -> bytes:
        """Send a request and wait for the answer; EOFError or OSError if the process is gone."""
        self._channel.send_bytes(message)
        return self._channel.recv_bytes()

    def last_words(self) -> str:
        """Wait for the end of a process that closed its pipe; return how it ended."""
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            code = self._process.wait()
        return end_of(code) + keep(self._log.read_text(errors="replace"))

    def end(self) -> None:
        """Kill the process with all that it started, and remove its files."""
        self._channel.close()
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._scratch.cleanup()

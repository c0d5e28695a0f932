"""A runtime at the other end of a pipe: ``python -m assay.runtimes.isolated_child FD``.

A message is a JSON object, a new line, and the bytes of a tensor or none. The process ends with its
pipe, and as soon as its stdin is closed, whatever it is at.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from threading import Thread
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError, CrashError
from assay.processes import OUT_OF_MEMORY, limit, limits, out_of_memory

if TYPE_CHECKING:
    from assay.runtimes.base import Runtime


def pack(fields: dict[str, Any], data: bytes = b"") -> bytes:
    """Return a message."""
    return json.dumps(fields).encode() + b"\n" + data


def unpack(message: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return what is in a message."""
    end = message.index(b"\n")
    return json.loads(message[:end]), memoryview(message)[end + 1 :]


class Server:
    """Does what the parent asks; each method is a request and returns its answer, a message."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None

    def load(self, data: memoryview, runtime: str, path: str, threads: int) -> bytes:
        """Open a model; answer with what it takes and gives."""
        from assay.runtimes.registry import open_runtime

        opened = self._runtime = open_runtime(runtime, path, threads)
        return pack(
            {
                "name": opened.name,
                "threads": opened.threads,
                "inputs": [asdict(spec) for spec in opened.inputs],
                "outputs": [asdict(spec) for spec in opened.outputs],
            }
        )

    def write(self, data: memoryview, index: int) -> bytes:
        """Set an input to the bytes of the message."""
        import numpy as np

        spec = self._opened.inputs[index]
        self._opened.set_input(index, np.frombuffer(data, spec.dtype).reshape(spec.shape))
        return pack({})

    def run(self, data: memoryview) -> bytes:
        """Run one inference."""
        self._opened.run()
        return pack({})

    def read(self, data: memoryview, index: int) -> bytes:
        """Return an output."""
        value = self._opened.get_output(index)
        return pack({"dtype": str(value.dtype), "shape": value.shape}, value.tobytes())

    @property
    def _opened(self) -> Runtime:
        assert self._runtime is not None
        return self._runtime


def main() -> None:
    """Serve until the pipe is closed; an AssayError is an answer, a bug a traceback."""
    faulthandler.enable()
    limit(limits())
    Thread(target=_end_with_parent, daemon=True).start()
    channel = Connection(int(sys.argv[1]))
    server = Server()
    with suppress(EOFError):
        while True:
            channel.send_bytes(_answer(server, channel.recv_bytes()))


def _answer(server: Server, message: bytes) -> bytes:
    request, data = unpack(message)
    try:
        answer: bytes = getattr(server, request.pop("do"))(data, **request)
    except AssayError as error:
        return pack({"kind": type(error).__name__, "error": str(error)})
    except Exception as error:
        if not out_of_memory(error):
            raise
        return pack({"kind": CrashError.__name__, "error": OUT_OF_MEMORY})
    return answer


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()

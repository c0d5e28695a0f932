"""Fuzzing of the reader that is guided by coverage: ``python -m tests.fuzz.guided SECONDS``.

Starts from small models, and keeps what reaches new code of ``assay.model``. Anything but an
``AssayError``, 20 seconds for one file, or 2 GB end it with the culprit in a file ``crash-*``,
``timeout-*`` or ``oom-*``. Does nothing without atheris.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def main() -> None:
    try:
        import atheris
    except ModuleNotFoundError:
        print("left out, as atheris is not installed: python -m pip install atheris")
        return
    with atheris.instrument_imports(include=["assay.model"]):
        from assay.model.reader import read
    from assay.errors import AssayError
    from tests.lab import toy

    folder = Path(tempfile.mkdtemp(prefix="assay-fuzz-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "fp32").write_bytes(toy.float_model())
    (corpus / "int8").write_bytes(toy.quantized_model("int8"))
    path = folder / "model.tflite"

    def read_bytes(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read(path)
        except AssayError as error:
            if not str(error).startswith(str(path)):
                raise

    limits = [f"-max_total_time={sys.argv[1]}", "-timeout=20", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], *limits, "-max_len=65536", str(corpus)], read_bytes)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

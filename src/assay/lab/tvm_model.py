"""TVMModel: the tester that compiles a TFLite file with TVM first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.compiler.config import Config, Pipeline
from assay.lab.testers import ModelTester

if TYPE_CHECKING:
    from assay.compiler.artifact import Manifest
    from assay.datasets.base import Dataset


class TVMModel(ModelTester):
    """Compiles ``originalmodel`` to the library ``modelpath`` and evaluates that.

    ``target`` and ``target_host`` are LLVM targets in TVM's old or new form, ``opt_level`` is 0 to
    4. TFLite models come in NHWC; ``use_nchw_layout`` converts them, ``convert_ops`` says which
    operators take part in that (all that can if None).
    """

    runtime = "tvm"
    manifest: Manifest | None = None
    log: tuple[str, ...] = ()

    def __init__(
        self,
        dataset: Dataset,
        modelpath: str | Path,
        originalmodel: str | Path | None = None,
        logdir: str | Path | None = None,
        target: str = "llvm",
        target_host: str | None = None,
        opt_level: int = 3,
        use_nchw_layout: bool = False,
        convert_ops: tuple[str, ...] | None = None,
        pipeline: Pipeline = "assay",
    ) -> None:
        self.config = Config(
            target=target,
            target_host=target_host,
            opt_level=opt_level,
            layout="nchw" if use_nchw_layout else "nhwc",
            convert_ops=convert_ops,
            pipeline=pipeline,
        )
        super().__init__(dataset, modelpath, originalmodel, logdir)

    def optimize_model(self, originalmodel: Path) -> None:
        """Read the file, import it, apply the passes, build for the target, export the library."""
        from assay.compiler.build import compile_model
        from assay.model.reader import read

        build = compile_model(read(originalmodel), self.config)
        self.manifest = build.save(self.modelpath)
        self.log = build.log
        if self.logdir is not None:
            self.logdir.mkdir(parents=True, exist_ok=True)
            (self.logdir / "build.log").write_text("\n".join(build.log) + "\n")

"""TVMModel: the tester that compiles a TFLite file with TVM first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.compiler.config import Config, Pipeline, Precision
from assay.errors import ConfigError
from assay.lab.testers import ModelTester

if TYPE_CHECKING:
    from assay.compiler.artifact import Manifest
    from assay.datasets.base import Dataset


class TVMModel(ModelTester):
    """Compiles ``originalmodel`` to the library ``modelpath`` and evaluates that.

    ``target`` and ``target_host`` are LLVM targets in TVM's old or new form, ``opt_level`` is 0 to
    4. TFLite models come in NHWC; ``use_nchw_layout`` converts them, ``convert_ops`` says which
    operators take part in that (all that can if None). The other choices are those of
    :class:`assay.Config`. Without ``originalmodel``, ``modelpath`` is a library made before.
    """

    runtime = "tvm"
    manifest: Manifest | None = None
    log: tuple[str, ...] = ()
    cached = False

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
        *,
        convert_ops: tuple[str, ...] | None = None,
        precision: Precision = "auto",
        pipeline: Pipeline = "assay",
        threads: int = 1,
    ) -> None:
        self.config = Config(
            target=target,
            target_host=target_host,
            opt_level=opt_level,
            layout="nchw" if use_nchw_layout else "nhwc",
            convert_ops=convert_ops,
            precision=precision,
            pipeline=pipeline,
        )
        super().__init__(dataset, modelpath, originalmodel, logdir, threads=threads)

    def optimize_model(self, originalmodel: Path) -> None:
        """Compile ``originalmodel``, export the library to ``self.modelpath``, keep the log.

        The TFLite file is read and imported as an IRModule with its parameters; the transforms run
        under a ``tvm.transform.PassContext`` with ``opt_level``; what comes out is built for
        ``target`` with ``target_host`` and exported with ``export_library``. With ``logdir``, the
        log is ``build.log`` there. What was built before is taken from the cache, which ``cached``
        tells. ConfigError if ``modelpath`` would not be found as a library.
        """
        from assay.cache.builds import compile_to
        from assay.lab.store import write_text

        if self.modelpath.suffix != ".so":
            raise ConfigError(f"{self.modelpath}: the name of a library has to end in .so")
        compiled = compile_to(self.modelpath, originalmodel, self.config)
        self.manifest, self.log, self.cached = compiled.manifest, compiled.log, compiled.cached
        if self.logdir is not None:
            write_text(self.logdir / "build.log", "\n".join(self.log) + "\n")

    def prepare_model(self) -> None:
        """Load the library with ``tvm.runtime.load_module`` into a Relax virtual machine.

        It runs on the device that ``tvm.runtime.device("llvm")`` is: the CPU.
        """
        super().prepare_model()

"""ModelTester and the LiteRT testers: the classes that lessons about the lab are written around.

A tester takes a model through the same steps whatever runs it: optimize, prepare, and for each
input preprocess, run, postprocess. The work itself is done by the rooms of assay.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.lab.evaluation import Evaluation, Progress, evaluate_tester
from assay.runtimes.registry import open_runtime

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from assay.datasets.base import Dataset
    from assay.runtimes.base import Runtime


class ModelTester:
    """Evaluates the model at ``modelpath`` on a data set, one input at a time.

    If ``originalmodel`` is given, ``optimize_model`` first turns it into ``modelpath``. ``logdir``
    is the directory for what optimizing logs. ``runtime`` names what runs the model, by default
    the class's own; ``threads`` is what it may use. Inputs and outputs go by index.

    A subclass may replace any step. ``test_inference`` calls, for each example, only
    ``preprocess_input``, ``run_inference`` and ``postprocess_outputs``.
    """

    runtime = "litert"

    def __init__(
        self,
        dataset: Dataset,
        modelpath: str | Path,
        originalmodel: str | Path | None = None,
        logdir: str | Path | None = None,
        *,
        runtime: str | None = None,
        threads: int = 1,
    ) -> None:
        self.dataset = dataset
        self.modelpath = Path(modelpath)
        self.originalmodel = None if originalmodel is None else Path(originalmodel)
        self.logdir = None if logdir is None else Path(logdir)
        self.runtime = runtime or self.runtime
        self.threads = threads
        if self.originalmodel is not None:
            self.optimize_model(self.originalmodel)
        self.prepare_model()

    def optimize_model(self, originalmodel: Path) -> None:
        """Turn ``originalmodel`` into what runs, at ``self.modelpath``; nothing to do here."""

    def prepare_model(self) -> None:
        """Load the model at ``self.modelpath``."""
        self.model: Runtime = open_runtime(self.runtime, self.modelpath, self.threads)

    @property
    def quantized(self) -> bool:
        """Tell whether the first input is quantized, with scale and zero point of its own."""
        return self.model.inputs[0].quantization is not None

    def preprocess_input(self, X: npt.NDArray[np.float32]) -> None:  # noqa: N803 - the lab's name
        """Set input 0 to ``X``, float32 [H, W, C]: as a batch of one, quantized if the model is.

        A model whose input is NCHW gets it as [1, C, H, W].
        """
        from assay.lab.inputs import takes_nchw
        from assay.runtimes.tensors import encode

        spec, batch = self.model.inputs[0], X[None]
        if takes_nchw(spec.shape, batch.shape):
            batch = batch.transpose(0, 3, 1, 2)
        self.model.set_input(0, encode(spec, batch))

    def run_inference(self) -> None:
        """Run the model on the inputs set before. This call alone is timed."""
        self.model.run()

    def postprocess_outputs(self, Y: Any = None) -> npt.NDArray[np.float32]:  # noqa: N803
        """Return output 0 (or ``Y``, raw values of it) as float32 scores, one for each class."""
        from assay.runtimes.tensors import decode

        raw = self.model.get_output(0) if Y is None else Y
        return decode(self.model.outputs[0], raw).reshape(-1)

    def test_inference(
        self,
        resultspath: str | Path,
        prefix: str,
        testdatasetpercentage: float = 1.0,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Evaluate on a fraction of the data set, from 0 to 1, and write what was found.

        Writes ``<prefix>-metrics.md`` and ``<prefix>-confusion-matrix.png`` to ``resultspath``.
        ConfigError if the fraction is out of range, InputError if the data does not fit the model.
        """
        from assay.lab.evaluation import write_evaluation

        evaluation = evaluate_tester(self, testdatasetpercentage, progress)
        write_evaluation(evaluation, self.dataset.classes, Path(resultspath), prefix)
        return evaluation


class TFLiteFP32Model(ModelTester):
    """The FP32 TFLite file in LiteRT."""


class TFLiteINT8Model(ModelTester):
    """The full-integer INT8 TFLite file in LiteRT."""

"""One experiment in a process of its own: ``python -m assay.lab.worker PARENT``, a task on stdin.

Messages leave on the original stdout, a JSON object a line: ``{"stage": text}``, ``{"done": n,
"total": n}``, and at the end ``{"result": {...}}``, ``{"error": text}``, or ``{"dataset_error":
text}`` for what concerns all experiments. Whatever TVM, LLVM or LiteRT print goes to stderr, which
the parent keeps as the experiment's log.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import os
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from assay.compiler.config import Config
from assay.errors import AssayError, DatasetError
from assay.lab.codec import plain
from assay.lab.plan import Experiment
from assay.lab.results import ExperimentResult
from assay.processes import OUT_OF_MEMORY, die_with, limit, limits, out_of_memory

if TYPE_CHECKING:
    from assay.datasets.base import Dataset
    from assay.lab.results import LayerTimes
    from assay.lab.testers import ModelTester
    from assay.lab.tvm_model import TVMModel
    from assay.runtimes.tvm import TVMRuntime


@dataclasses.dataclass(frozen=True)
class Task:
    """All that a worker needs. ``artifact`` is where a compiled library goes."""

    experiment: Experiment
    model_path: Path
    dataset: str
    fraction: float
    threads: int
    artifact: Path
    fingerprint: str

    def encode(self) -> str:
        """Return the task as JSON text."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def decode(cls, text: str) -> Task:
        """Read back what ``encode`` wrote."""
        fields = json.loads(text)
        experiment = fields["experiment"]
        if experiment["config"] is not None:
            ops = experiment["config"]["convert_ops"]
            experiment["config"]["convert_ops"] = None if ops is None else tuple(ops)
            experiment["config"] = Config(**experiment["config"])
        fields["experiment"] = Experiment(**experiment)
        for name in ("model_path", "artifact"):
            fields[name] = Path(fields[name])
        return cls(**fields)


def main() -> None:
    """Carry out the task on stdin; an AssayError becomes a message, a bug a traceback."""
    die_with(int(sys.argv[1]))
    faulthandler.enable()  # to stderr, which is the log
    limit(limits())
    channel = _claim_stdout()
    task = Task.decode(sys.stdin.read())

    def send(**message: Any) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        send(result=plain(carry_out(task, send)))
    except AssayError as error:
        traceback.print_exc()
        send(**{"dataset_error" if isinstance(error, DatasetError) else "error": str(error)})
    except Exception as error:
        if not out_of_memory(error):
            raise
        traceback.print_exc()
        send(error=OUT_OF_MEMORY)


def carry_out(task: Task, send: Any) -> ExperimentResult:
    """Compile if the experiment asks for it, evaluate, and return everything measured."""
    from assay.datasets.registry import open_dataset
    from assay.lab.evaluation import evaluate_tester

    dataset = open_dataset(task.dataset)
    send(stage="compiling" if task.experiment.config else "loading")
    tester = make_tester(task, dataset)
    send(stage="evaluating")
    evaluation = evaluate_tester(
        tester, task.fraction, lambda done, total: send(done=done, total=total)
    )
    if task.experiment.config:
        send(stage="profiling")
    return ExperimentResult(
        name=task.experiment.name,
        title=task.experiment.title,
        status="done",
        fingerprint=task.fingerprint,
        runtime=task.experiment.runtime,
        precision=task.experiment.model,
        quality=evaluation.quality,
        timing=evaluation.timing,
        **_build_facts(tester),
        **_model_facts(task.model_path),
    )


def make_tester(task: Task, dataset: Dataset) -> ModelTester:
    """Return the tester of an experiment, its model compiled and loaded."""
    from assay.lab.testers import TFLiteFP32Model, TFLiteINT8Model
    from assay.lab.tvm_model import TVMModel

    config = task.experiment.config
    if config is None:
        tester = TFLiteFP32Model if task.experiment.model == "fp32" else TFLiteINT8Model
        return tester(dataset, task.model_path, threads=task.threads)
    model = TVMModel(
        dataset,
        task.artifact,
        task.model_path,
        target=config.target,
        target_host=config.target_host,
        opt_level=config.opt_level,
        use_nchw_layout=config.layout == "nchw",
        convert_ops=config.convert_ops,
        precision=config.precision,
        pipeline=config.pipeline,
        threads=task.threads,
    )
    print("\n".join(model.log), file=sys.stderr, flush=True)
    return model


def _build_facts(tester: ModelTester) -> dict[str, Any]:
    from assay.lab.tvm_model import TVMModel

    if not isinstance(tester, TVMModel) or (manifest := tester.manifest) is None:
        return {}
    return {
        "config": manifest.config,
        "resolved_target": manifest.resolved_target,
        "artifact_bytes": manifest.library_bytes,
        "compile_s": manifest.compile_s,
        "compile_cached": tester.cached,
        "library_sha256": manifest.library_sha256,
        "remarks": [remark.as_dict() for remark in manifest.remarks],
        "log_lines": dict(Counter(tester.log)),
        "layer_times": _layer_times(tester),
    }


def _layer_times(tester: TVMModel) -> LayerTimes | None:
    """Profile the build on the example that was run last; what it found stands without, too."""
    from assay.lab.layers import layer_times
    from assay.timing.profiler import profile_tvm

    try:
        return layer_times(profile_tvm(cast("TVMRuntime", tester.model)))
    except AssayError:
        traceback.print_exc()
        return None


def _model_facts(path: Path) -> dict[str, Any]:
    from assay.model.reader import read

    model = read(path)
    facts = {"name": path.name, "sha256": model.sha256, "precision": model.precision}
    return {"model": facts, "model_bytes": model.size_bytes}


def _claim_stdout() -> TextIO:
    """Keep the real stdout for messages; send everybody else's prints to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


if __name__ == "__main__":
    main()

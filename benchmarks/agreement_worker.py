"""One model's builds against LiteRT, in a process of its own: see ``benchmarks.agreement``.

    python -m benchmarks.agreement_worker MODEL CACHE LEVEL:LAYOUT...

Prints one JSON object a line: first how far LiteRT's own fast kernels are from its reference
kernels, then what each build is off; of an FP32 network also how far each is from float64.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.compiler.build import compile_model
from assay.compiler.config import Config
from assay.files import replace_file
from assay.model.facts import Model
from assay.model.reader import read
from assay.model.spec import TensorSpec
from assay.runtimes.base import Runtime
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from benchmarks.float64 import Float64

INPUTS = 20

# A float model does not tell the range of its data; its quantized sibling does.
SIBLINGS = {
    "ad01_fp32": "ad01_int8",
    "kws_ref_model_float32": "kws_ref_model",
    "pretrainedResnet": "pretrainedResnet_quant",
    "vww_96_float": "vww_96_int8",
    "pet-dataset-tensorflow.fp32": "pet-dataset-tensorflow.int8-0.8",
}

Array = npt.NDArray[Any]
Outputs = list[list[Array]]
"""By inference, then by output."""


def data_range(path: Path, index: int) -> tuple[float, float]:
    """Return the least and largest real value that an input of a quantized model stands for."""
    spec = read(path).inputs[index]
    assert spec.quantization is not None, f"{path}: input {index} is not quantized"
    (scale,), (zero_point,) = spec.quantization.scale, spec.quantization.zero_point
    limits = np.iinfo(spec.dtype)
    return scale * (int(limits.min) - zero_point), scale * (int(limits.max) - zero_point)


def sibling(path: Path) -> Path:
    """Return the quantized model beside a float one."""
    name = SIBLINGS.get(path.stem, path.stem.replace(".fp32", ".int8"))
    return path.with_name(f"{name}.tflite")


def feeds(path: Path, specs: tuple[TensorSpec, ...], seed: int) -> list[Array]:
    """Return one random value for each input, uniform over the range of the model's data."""
    rng = np.random.default_rng(seed)
    made: list[Array] = []
    for index, spec in enumerate(specs):
        if spec.dtype == "float32":
            low, high = data_range(sibling(path), index)
            made.append(rng.uniform(low, high, spec.shape).astype(np.float32))
        else:
            limits = np.iinfo(spec.dtype)
            made.append(rng.integers(limits.min, limits.max, spec.shape, spec.dtype, endpoint=True))
    return made


def outputs_of(runtime: Runtime, path: Path) -> Outputs:
    """Run all the inputs."""
    found: Outputs = []
    for seed in range(INPUTS):
        result = runtime(*feeds(path, runtime.inputs, seed))
        found.append(list(result) if isinstance(result, tuple) else [result])
    return found


def difference(spec: TensorSpec, ours: list[Array], reference: list[Array]) -> dict[str, Any]:
    """Return how far one output is off over all inferences.

    Float: the largest difference, and the range of the reference's values. Quantized: how many
    values differ by how many steps. Other integers are indices: they are equal or not (1).
    """
    actual, expected = np.stack(ours), np.stack(reference)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if expected.dtype == np.float32:
        largest = np.abs(actual.astype(np.float64) - expected).max()
        return {"name": spec.name, "largest": float(largest), "range": float(np.ptp(expected))}
    steps = np.abs(actual.astype(np.int64) - expected.astype(np.int64))
    if spec.quantization is None:
        steps = np.minimum(steps, 1)
    values, counts = np.unique(steps, return_counts=True)
    counted = {str(value): int(count) for value, count in zip(values, counts, strict=True)}
    return {"name": spec.name, "steps": counted}


def kept(file: Path, compute: Callable[[], Outputs]) -> Outputs:
    """Return what was computed before, by an earlier process, too; the references are slow."""
    if not file.is_file():
        arrays = {
            f"{seed}_{index}": value
            for seed, values in enumerate(compute())
            for index, value in enumerate(values)
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file) as temporary, temporary.open("wb") as opened:
            np.savez(opened, **arrays)
    with np.load(file) as found:
        count = len(found.files) // INPUTS
        return [[found[f"{seed}_{index}"] for index in range(count)] for seed in range(INPUTS)]


def exact_of(path: Path, model: Model, file: Path) -> Outputs | None:
    """Return the outputs of an FP32 network in float64, None if an operator of it is missing."""
    if model.precision != "fp32":
        return None
    try:
        network = Float64(path)
    except ValueError:
        return None
    specs = open_litert(path).inputs
    return kept(file, lambda: [network(*feeds(path, specs, seed)) for seed in range(INPUTS)])


def error(ours: Outputs, exact: Outputs) -> dict[str, float]:
    """Return how far values are from float64, as shares of their output's range."""
    pairs = zip(zip(*ours, strict=True), zip(*exact, strict=True), strict=True)
    shares = [
        np.abs(np.stack(got) - np.stack(wanted)).ravel() / np.ptp(np.stack(wanted))
        for got, wanted in pairs
    ]
    values = np.concatenate(shares)
    return {"largest": float(values.max()), "mean": float(values.mean())}


def compare(model: Model, ours: Outputs, reference: Outputs) -> list[dict[str, Any]]:
    """Return the difference of each output."""
    return [
        difference(spec, [each[index] for each in ours], [each[index] for each in reference])
        for index, spec in enumerate(model.outputs)
    ]


def main() -> None:
    """Compare every build that was asked for, in that order."""
    path, cache = Path(sys.argv[1]), Path(sys.argv[2])
    model = read(path)
    key = cache / f"{path.stem}-{model.sha256[:16]}"
    plain = kept(
        Path(f"{key}-reference.npz"), lambda: outputs_of(open_litert(path, reference=True), path)
    )
    xnnpack = kept(Path(f"{key}-xnnpack.npz"), lambda: outputs_of(open_litert(path), path))
    facts = {"precision": model.precision, "sha256": model.sha256, "macs": model.macs}
    exact = exact_of(path, model, Path(f"{key}-float64.npz"))
    if exact is not None:
        facts["error"] = {"reference": error(plain, exact), "xnnpack": error(xnnpack, exact)}
    _say({"xnnpack": compare(model, xnnpack, plain), **facts})
    for pair in sys.argv[3:]:
        level, layout = pair.split(":")
        config = Config(opt_level=int(level), layout=layout)  # type: ignore[arg-type]
        build = compile_model(model, config)
        ours = outputs_of(open_build(build), path)
        found = {"outputs": compare(model, ours, plain), "compile_s": build.manifest.compile_s}
        if exact is not None:
            found["error"] = error(ours, exact)
        _say({"build": pair, **found})


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()

"""Which contenders a comparison has: from model files and options to a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from assay.api import runtime_for
from assay.compiler.artifact import read_artifact
from assay.compiler.config import Config
from assay.errors import ConfigError, ModelError
from assay.runtimes.registry import runtime_names
from assay.timing.record import Contender


@dataclass(frozen=True)
class Choices:
    """What to time for each model file: builds at each of ``opt_levels``, and runtimes.

    ``against`` None is the runtime that the format comes from: LiteRT or ONNX Runtime. ``config``
    holds all other choices of a build; ``onnx`` is the model of a ``.tflite`` file as ``.onnx``.
    """

    against: tuple[str, ...] | None = ()
    opt_levels: tuple[int, ...] = (3,)
    config: Config = field(default_factory=Config)
    onnx: Path | None = None


def plan(files: Sequence[Path], choices: Choices) -> tuple[Contender, ...]:
    """Return the contenders: for each model assay's builds, then the runtimes; then libraries.

    A ``.so`` file is taken as it is. All files are read once, so that mistakes show before anything
    is timed: ModelError, ArtifactError, ConfigError.
    """
    models = [file for file in files if file.suffix in (".tflite", ".onnx")]
    libraries = [file for file in files if file.suffix == ".so"]
    others = [file for file in files if file not in models and file not in libraries]
    if others:
        raise ModelError(f"{others[0]} cannot be timed: give .tflite, .onnx and compiled .so files")
    _check(choices, models)
    names = _Names()
    found: list[Contender] = []
    for path in models:
        found += _of_model(path, choices, names, prefix=len(models) > 1)
    for path in libraries:
        manifest = read_artifact(path)
        model = names.of(manifest.model_name, manifest.model_sha256)
        found.append(Contender(path.name, model, "tvm", path, model_sha256=manifest.model_sha256))
    if not found:
        raise ConfigError("there is nothing to time: give --opt-level or --against")
    return _labelled_apart(found)


class _Names:
    """Gives each model a name of its own, the same one to files of the same content."""

    def __init__(self) -> None:
        self._by_content: dict[str, str] = {}

    def of(self, name: str, sha256: str) -> str:
        if sha256 not in self._by_content:
            taken = sum(known.split(" #")[0] == name for known in self._by_content.values())
            self._by_content[sha256] = f"{name} #{taken + 1}" if taken else name
        return self._by_content[sha256]


def _of_model(path: Path, choices: Choices, names: _Names, prefix: bool) -> list[Contender]:
    from assay.model.reader import read

    facts = read(path)
    model = names.of(facts.name, facts.sha256)
    start = f"{model}: " if prefix else ""
    template = Contender("", model, "tvm", path, model_sha256=facts.sha256)
    found = [
        replace(
            template,
            label=f"{start}assay O{level}",
            config=replace(choices.config, opt_level=level),
        )
        for level in choices.opt_levels
    ]
    for name in (runtime_for(path),) if choices.against is None else choices.against:
        label = f"{start}{name}"
        if name == "stock":
            stock = Config(
                target=choices.config.target,
                target_host=choices.config.target_host,
                pipeline="stock",
            )
            found.append(replace(template, label=label, config=stock))
        else:
            found.append(_on_its_format(replace(template, label=label, runtime=name), choices))
    return found


def _on_its_format(contender: Contender, choices: Choices) -> Contender:
    """Return a peer with the file that it reads, or as one that is skipped."""
    onnx_file = contender.path.suffix == ".onnx"
    if contender.runtime == "litert" and onnx_file:
        return replace(contender, skip="it reads no .onnx: give the model as a .tflite file too")
    if contender.runtime != "onnxruntime" or onnx_file:
        return contender
    if choices.onnx is None:
        return replace(contender, skip="it reads no .tflite: give the model as --onnx FILE too")
    return replace(contender, path=choices.onnx)


def _check(choices: Choices, models: list[Path]) -> None:
    known = [name for name in runtime_names() if name != "tvm"]
    against = choices.against or ()
    for name in against:
        if name not in known:
            raise ConfigError(f"--against {name!r} is no runtime: there are {', '.join(known)}")
    for what, values in (("--against", against), ("--opt-level", choices.opt_levels)):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            raise ConfigError(f"{what} names {twice[0]!r} twice: give each once")
    if choices.onnx is None:
        return
    if "onnxruntime" not in against:
        raise ConfigError("--onnx is for ONNX Runtime: add onnxruntime to --against")
    if any(model.suffix == ".onnx" for model in models):
        raise ConfigError("--onnx belongs to a .tflite model: leave it away")
    if len(models) != 1:
        raise ConfigError(f"--onnx belongs to one model, {len(models)} are given: time them apart")
    if not choices.onnx.is_file():
        raise ModelError(f"{choices.onnx}: no such file; give --onnx the model as an .onnx file")


def _labelled_apart(contenders: list[Contender]) -> tuple[Contender, ...]:
    """Number contenders whose labels are the same, such as one library given twice."""
    seen: Counter[str] = Counter()
    found = []
    for contender in contenders:
        seen[contender.label] += 1
        count = seen[contender.label]
        label = contender.label if count == 1 else f"{contender.label} #{count}"
        found.append(replace(contender, label=label))
    return tuple(found)

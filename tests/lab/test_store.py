import json
import math
import os
from dataclasses import MISSING, fields, replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from assay.compiler.remarks.remark import Remark
from assay.errors import ResultsError
from assay.lab import results as contract
from assay.lab.results import (
    ExperimentResult,
    Kernel,
    Layer,
    LayerTimes,
    Quality,
    Results,
    Timing,
    Turns,
)
from assay.lab.store import load, save, write_atomically

ROOT = Path(__file__).parents[2]
CLASSES = [Results, ExperimentResult, Quality, Timing, Turns, LayerTimes, Layer, Kernel]


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(Path(contract.__file__).with_name("results.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def results():
    done = ExperimentResult(
        name="tvm-fp32-nhwc",
        title="TVM, NHWC",
        status="done",
        fingerprint="ab12",
        runtime="tvm",
        precision="fp32",
        config={"opt_level": 3, "layout": "NHWC", "passes": ["a", "b"], "extra": {}},
        quality=Quality(3, 2 / 3, None, 0.75, 0.75, 0.5**0.5, [[1, 1], [0, 1]], [0, 1, 1]),
        timing=Timing(9.5, [1.0, 1.25, 1.5], 1.25, 0.25, 1.25, 1.05, 1.45, 1.495),
        model_bytes=1024,
        artifact_bytes=2048,
        compile_s=3.5,
        log="tvm-fp32-nhwc.log",
        remarks=[Remark("schedule/none", "mean runs", fix={"opt_level": 3}, calls=(4,)).as_dict()],
        costs_against="tvm-fp32-opt4",
        log_lines={"[target] llvm": 1, "[schedule] mean runs": 2},
        layer_times=LayerTimes(
            runs=18,
            total_ms=1.5,
            hook_ms=0.001,
            layers=[
                Layer(0, "CONV_2D", "conv/Relu", [1, 8, 8, 16], 4096),
                Layer(1, "MEAN", "m", [], 0),
            ],
            kernels=[
                Kernel("conv", [0], [], 640, 1.0, 0.9, 1.1),
                Kernel("mean", [1], [0], 64, 0.4, 0.4, 0.5),
            ],
        ),
    )
    skipped = ExperimentResult(
        "tvm-avx512",
        "AVX-512",
        "skipped",
        "cd34",
        "tvm",
        "fp32",
        reason="this CPU lacks avx512f",
    )
    return Results(
        created="2026-01-02T03:04:05+00:00",
        command="assay lab --model m.tflite",
        machine={"cpu": "Some CPU", "cores": 2, "flags": ["avx", "fma"], "load": None},
        versions={"assay": "0.1.0"},
        dataset={
            "name": "żółw",
            "samples": 3,
            "classes": ["cat", "dog"],
            "labels": [0, 0, 1],
            "crop": 0.875,
        },
        threads=1,
        experiments=[done, skipped],
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.json"


def edited(results, path, change):
    """Write a results file with one thing changed in its JSON."""
    save(results, path)
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")
    return document


def with_quality(results, **changes):
    done, *rest = results.experiments
    return replace(
        results, experiments=[replace(done, quality=replace(done.quality, **changes)), *rest]
    )


def test_what_is_saved_is_loaded(results, path):
    save(results, path)
    assert load(path) == results
    assert load(str(path)) == results


def test_no_experiment_yet(results, path):
    save(replace(results, experiments=[]), path)
    assert load(path).experiments == []


def test_the_same_results_are_the_same_bytes_and_begin_with_the_version(results, tmp_path):
    save(results, tmp_path / "a")
    save(load(tmp_path / "a"), tmp_path / "b")
    text = (tmp_path / "a").read_text("utf-8")
    assert text == (tmp_path / "b").read_text("utf-8")
    assert text.startswith('{\n  "schema": 3,\n  "created":')
    assert text.endswith("}\n")


def test_lists_of_numbers_take_one_line(results, path):
    many = with_quality(results, samples=500, predictions=[0, 1] * 250)
    save(replace(many, dataset={**many.dataset, "labels": [0, 1] * 250}), path)
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    assert '"samples_ms": [1.0, 1.25, 1.5],' in lines
    assert "[1, 1]," in lines
    assert len(lines) < 200


def test_numbers_that_are_not_finite_become_null_and_load_as_nan(results, path, validator):
    done = results.experiments[0]
    timing = replace(done.timing, std_ms=math.nan, samples_ms=[1.0, math.inf, -math.inf])
    machine = {"load": math.nan}
    save(replace(results, machine=machine, experiments=[replace(done, timing=timing)]), path)
    document = json.loads(path.read_text("utf-8"), parse_constant=pytest.fail)
    validator.validate(document)
    assert document["experiments"][0]["timing"]["samples_ms"] == [1.0, None, None]
    loaded = load(path)
    assert math.isnan(loaded.experiments[0].timing.std_ms)
    assert [math.isnan(ms) for ms in loaded.experiments[0].timing.samples_ms] == [False, True, True]
    assert loaded.machine == {"load": None}


def test_an_absent_top5_stays_none(results, path):
    save(results, path)
    assert load(path).experiments[0].quality.top5 is None


def test_numpy_values_and_tuples_are_stored_as_plain_json(results, path):
    config = {"scale": np.float32(0.5), "n": np.int64(3), "shape": (1, 2), "w": np.arange(2)}
    save(
        replace(results, experiments=[replace(results.experiments[0], config=config)]),
        path,
    )
    assert load(path).experiments[0].config == {"scale": 0.5, "n": 3, "shape": [1, 2], "w": [0, 1]}


def test_bytes_of_a_command_that_are_no_utf8_survive(results, path):
    command = "assay lab " + os.fsdecode(b"caf\xe9.tflite")
    save(replace(results, command=command), path)
    assert load(path).command == command


def test_fields_that_have_a_default_may_be_absent(results, path):
    edited(results, path, lambda document: document["experiments"][1].pop("quality"))
    assert load(path) == results


def test_whole_numbers_do_for_floats(results, path):
    edited(results, path, lambda document: document["experiments"][0]["quality"].update(accuracy=1))
    accuracy = load(path).experiments[0].quality.accuracy
    assert (accuracy, type(accuracy)) == (1.0, float)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema=4), "schema version 4"),
        (lambda d: d.update(schema=0), "schema version 0"),
        (lambda d: d.update(schema=True), "no schema version"),
        (lambda d: d.pop("schema"), "no schema version"),
        (lambda d: d.pop("machine"), "machine is missing"),
        (lambda d: d.update(surprise=1), "surprise is no field"),
        (lambda d: d.update(threads="one"), "threads must be a whole number"),
        (lambda d: d.update(threads=True), "threads must be a whole number"),
        (lambda d: d.update(machine=[]), "machine must be an object"),
        (lambda d: d["versions"].update(tvm=27), "versions.tvm must be text"),
        (lambda d: d.update(experiments={}), "experiments must be a list"),
        (lambda d: d["experiments"].append(7), r"experiments\[2\] must be an object"),
        (lambda d: d["experiments"][0].pop("name"), r"experiments\[0\].name is missing"),
        (lambda d: d["experiments"][1].update(status="ok"), "status must be one of done, skipped"),
        (lambda d: d["experiments"][0]["timing"].pop("p99_ms"), r"timing.p99_ms is missing"),
        (lambda d: d["experiments"][0]["timing"].update(mean_ms="1"), "mean_ms must be a number"),
        (
            lambda d: d["experiments"][0]["quality"]["predictions"].append(1.5),
            r"predictions\[3\] must be a whole number",
        ),
        (lambda d: d["dataset"].pop("classes"), "dataset.classes is missing"),
        (lambda d: d["dataset"].update(labels=[None]), r"dataset.labels\[0\] must be a whole"),
    ],
)
def test_what_the_schema_forbids_is_refused(results, path, validator, change, words):
    document = edited(results, path, change)
    assert not validator.is_valid(document)
    with pytest.raises(ResultsError, match=words) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["experiments"].append(d["experiments"][0]), "2 experiments are named"),
        (lambda d: d["experiments"][0].update(name="../up"), "cannot begin a file's name"),
        (lambda d: d["experiments"][0].update(name=""), "cannot begin a file's name"),
        (lambda d: d["experiments"][0]["quality"].update(samples=4), "3 predictions for 4 samples"),
        (lambda d: d["experiments"][0]["quality"].update(confusion_matrix=[[1, 2]]), "not square"),
        (lambda d: d["experiments"][0]["quality"].update(confusion_matrix=[]), "empty or not"),
        (
            lambda d: d["experiments"][0]["quality"].update(predictions=[0, 1, 2]),
            "not the index of a class",
        ),
        (
            lambda d: d["experiments"][0]["layer_times"]["kernels"][0].update(layers=[7]),
            "operator 7, which is not listed",
        ),
        (
            lambda d: d["experiments"][0]["layer_times"]["layers"][1].update(operator=0),
            "listed twice",
        ),
    ],
)
def test_contradictions_are_refused(results, path, change, words):
    edited(results, path, change)
    with pytest.raises(ResultsError, match=words):
        load(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Expecting value"),
        (b'{"schema": 1, "created": "2026', "Unterminated"),
        (b"[1, 2]", "no schema version"),
        (b"\xff\xfe", "utf-8"),
        (b'{"schema": NaN}', "NaN is no JSON number"),
        (b"[" * 100_000, "nested"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "5000 digits"),
    ],
)
def test_damaged_files_are_refused(path, data, words):
    path.write_bytes(data)
    with pytest.raises(ResultsError, match=words) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_too_large_for_a_float_is_refused(results, path):
    edited(results, path, lambda d: d["experiments"][0].update(compile_s=10**400))
    with pytest.raises(ResultsError, match="compile_s is too large"):
        load(path)


def test_paths_that_hold_no_file(tmp_path):
    with pytest.raises(ResultsError, match="does not exist"):
        load(tmp_path / "none.json")
    with pytest.raises(ResultsError, match="is a directory"):
        load(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="cannot be read"):
        load(tmp_path / "file" / "results.json")


def test_directories_are_made(results, tmp_path):
    save(results, tmp_path / "new" / "dir" / "results.json")
    assert load(tmp_path / "new" / "dir" / "results.json") == results


def test_paths_that_cannot_be_written(results, tmp_path):
    with pytest.raises(ResultsError, match="directory"):
        save(results, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="cannot be written"):
        save(results, tmp_path / "file" / "results.json")
    with pytest.raises(ResultsError, match="cannot be written"):
        save(results, "/proc/assay/results.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_results_that_could_not_be_loaded_are_not_written(results, path):
    save(results, path)
    before = path.read_bytes()
    for bad in (
        with_quality(results, samples=99),
        replace(results, experiments=results.experiments * 2),
        replace(results, schema=4),
    ):
        with pytest.raises(ResultsError, match="was not written"):
            save(bad, path)
    with pytest.raises(TypeError):
        save(replace(results, machine={"cpu": object()}), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_earlier_file_and_no_other(path, monkeypatch):
    write_atomically(path, b"old")

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(ResultsError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_symbolic_link_stays_one(tmp_path, results):
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real.json")
    save(results, link)
    assert link.is_symlink()
    assert load(tmp_path / "real.json") == results


def test_a_file_gets_the_permissions_of_any_new_file(path, tmp_path):
    write_atomically(path, b"")
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_saved_results_fit_the_schema(results, path, validator):
    save(results, path)
    validator.validate(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_schema_has_the_fields_of_each_dataclass(kind, validator):
    schema = validator.schema if kind is Results else validator.schema["$defs"][kind.__name__]
    assert set(schema["properties"]) == {field.name for field in fields(kind)}
    assert not schema["additionalProperties"]
    required = {
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    }
    assert set(schema["required"]) - {"schema"} == required


def test_the_schema_knows_the_version(validator):
    assert validator.schema["properties"]["schema"] == {"enum": list(contract.READABLE)}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_documentation_names_each_field(kind):
    page = (ROOT / "docs" / "results.md").read_text("utf-8")
    missing = [field.name for field in fields(kind) if f"| `{field.name}` |" not in page]
    assert not missing


TURNS = Turns(2, 3, 0.03, {"load_start": 0.1}, {"tvm-fp32-nhwc": [[1.0, 1.5], [1.25]]})


def test_turns_are_kept_and_fit_the_schema(results, path, validator):
    save(replace(results, turns=TURNS), path)
    assert load(path).turns == TURNS
    validator.validate(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize(
    ("rounds_ms", "words"),
    [
        ({"nobody": [[1.0]]}, "no experiment 'nobody'"),
        ({"tvm-fp32-nhwc": [[0.0]]}, "not above zero"),
        ({"tvm-fp32-nhwc": [[1.0, math.nan]]}, "not above zero"),
        ({"tvm-fp32-nhwc": [[1.0, 2.0]], "tvm-avx512": [[1.0]]}, "differ in launches"),
        ({"tvm-fp32-nhwc": [[1.0], []]}, "or have none"),
        ({"tvm-fp32-nhwc": []}, "or have none"),
    ],
)
def test_turns_that_cannot_be_are_refused(results, path, rounds_ms, words):
    with pytest.raises(ResultsError, match=words):
        save(replace(results, turns=replace(TURNS, rounds_ms=rounds_ms)), path)


def test_results_of_version_1_can_be_read(results, path):
    def as_version_1(document):
        document["schema"] = 1
        del document["turns"]
        for experiment in document["experiments"]:
            del experiment["library_sha256"], experiment["remarks"]

    edited(results, path, as_version_1)
    without = [replace(experiment, remarks=None) for experiment in results.experiments]
    assert load(path) == replace(results, experiments=without)

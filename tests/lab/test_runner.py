"""A run measures what its plan says, keeps what is finished, and loses nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from assay.compiler.config import Config
from assay.cpu import cpu_model
from assay.errors import DatasetError, ResultsError
from assay.lab.folder import claim
from assay.lab.plan import Experiment
from assay.lab.runner import run_lab
from assay.lab.store import load
from tests.datasets.pets import write_pets
from tests.lab import toy
from tests.lab.runs import TVM_TOY, Recorder, toy_lab, with_plan

REFUSED = Experiment(
    "tvm-refused", "A choice that fails", "fp32", Config(layout="nchw", convert_ops=("softmax",))
)


@pytest.fixture
def results(digits_lab):
    return load(digits_lab.results_path / "results.json")


class TestDigits:
    """One run on real models, as ``assay demo`` makes it."""

    def test_every_experiment_has_a_page_and_what_was_run_a_log(self, digits_lab):
        names = {path.name for path in digits_lab.results_path.iterdir()}
        for name in ("tflite-fp32", "tvm-int8-fixed"):
            assert {f"{name}-metrics.md", f"{name}-confusion-matrix.png", f"{name}.log"} <= names
        assert "tvm-warp-metrics.md" in names
        assert {"results.json", "report.md", "img"} <= names
        assert "digits-mobilenetv2.int8.tvm-int8-fixed.so" in names
        assert not [name for name in names if name.startswith(".")]

    def test_the_results_follow_the_schema(self, digits_lab):
        schema = json.loads((files("assay.lab") / "results.schema.json").read_text())
        document = json.loads((digits_lab.results_path / "results.json").read_text())
        jsonschema.validate(document, schema)

    def test_raw_samples_are_kept(self, results):
        done = [e for e in results.experiments if e.status == "done"]
        assert len(done) == 2
        for experiment in done:
            # the first run is kept apart
            assert len(experiment.timing.samples_ms) == results.dataset["samples"] - 1 == 10
            assert len(experiment.quality.predictions) == len(results.dataset["labels"]) == 11
            assert experiment.quality.accuracy > 0.8

    def test_sizes_are_those_of_the_files(self, digits_lab, results):
        litert, tvm, _ = results.experiments
        assert litert.model_bytes == digits_lab.models["fp32"].stat().st_size
        assert litert.artifact_bytes is None
        library = digits_lab.results_path / "digits-mobilenetv2.int8.tvm-int8-fixed.so"
        assert tvm.artifact_bytes == library.stat().st_size
        assert tvm.model_bytes == digits_lab.models["int8"].stat().st_size
        assert tvm.compile_s > 0

    def test_the_times_of_layers_are_those_of_the_build(self, results):
        litert, tvm, _ = results.experiments
        assert litert.layer_times is None
        times = tvm.layer_times
        assert times.runs > 0
        assert all(0 <= k.p10_ms <= k.median_ms <= k.p90_ms for k in times.kernels)
        assert 0 < times.total_ms < 10 * sum(kernel.median_ms for kernel in times.kernels)
        assert {"CONV_2D", "DEPTHWISE_CONV_2D"} <= {layer.op for layer in times.layers}
        computed = [operator for kernel in times.kernels for operator in kernel.layers]
        assert len(computed) == len(set(computed))

    def test_each_line_of_the_builds_log_is_counted(self, digits_lab, results):
        log = (digits_lab.results_path / "tvm-int8-fixed.log").read_text().splitlines()
        counts = results.experiments[1].log_lines
        assert counts
        for line, count in counts.items():
            assert log.count(line) == count

    def test_all_that_were_run_took_turns(self, results):
        turns = results.turns
        assert (turns.launches, turns.rounds) == (2, 4)
        assert list(turns.rounds_ms) == ["tflite-fp32", "tvm-int8-fixed"]
        for launches in turns.rounds_ms.values():
            assert [len(rounds) for rounds in launches] == [2, 2]
            assert all(0 < ms < 1e4 for rounds in launches for ms in rounds)
        assert turns.failures == {}
        assert turns.audit["threads"] == 1
        assert "few-launches" in {warning["id"] for warning in turns.audit["warnings"]}

    def test_what_a_build_found_is_kept_without_its_protocol(self, digits_lab, results):
        lines = (digits_lab.results_path / results.experiments[1].log).read_text().splitlines()
        remarks = results.experiments[1].remarks
        found = Counter(f"[{each['id'].partition('/')[0]}] {each['evidence']}" for each in remarks)
        assert found
        for line, count in found.items():
            assert lines.count(line) == count
        groups = ("[schedule]", "[layout]", "[precision]")
        assert {line for line in lines if line.startswith(groups)} <= set(found)
        assert results.experiments[0].remarks is None

    def test_the_log_is_the_compilers(self, digits_lab, results):
        log = digits_lab.results_path / results.experiments[1].log
        assert "[target]" in log.read_text()
        assert "[pass]" in log.read_text()

    def test_what_this_cpu_cannot_run_is_skipped_with_its_full_name(self, digits_lab, results):
        skipped = results.experiments[2]
        assert (skipped.name, skipped.status) == ("tvm-warp", "skipped")
        assert skipped.reason == f"the CPU, {cpu_model()}, has no WARP_DRIVE"
        assert skipped.timing is skipped.quality is skipped.artifact_bytes is None
        report = (digits_lab.results_path / "report.md").read_text()
        assert cpu_model() in report

    def test_a_second_call_starts_no_process(self, digits_lab, results, tmp_path):
        copy = tmp_path / "results"
        shutil.copytree(digits_lab.results_path, copy)
        recorder = Recorder()
        again = run_lab(replace(digits_lab, results_path=copy), recorder)
        assert recorder.steps == []
        assert recorder.copies == []
        assert recorder.events == [
            ("kept", "tflite-fp32"),
            ("kept", "tvm-int8-fixed"),
            ("skipped", "tvm-warp"),
        ]
        for before, after in zip(results.experiments, again.experiments, strict=True):
            assert before.timing == after.timing
            assert before == after


class TestNumbers:
    def test_quality_is_what_numpy_counts(self, toy_folder):
        results = run_lab(toy_lab(toy_folder, "tflite-fp32", "tflite-int8", TVM_TOY), Recorder())
        x, y = toy.images(40)
        expected = x.mean(axis=(1, 2)).argmax(axis=1)
        matrix = np.zeros((3, 3), int)
        np.add.at(matrix, (y, expected), 1)
        assert results.dataset["classes"] == list(toy.CLASSES)
        assert results.dataset["labels"] == y.tolist()
        for experiment in results.experiments:
            assert experiment.status == "done", experiment.reason
            assert experiment.quality.predictions == expected.tolist()
            assert experiment.quality.confusion_matrix == matrix.tolist()
            assert experiment.quality.accuracy == pytest.approx(np.mean(expected == y))

    def test_progress_is_reported_example_by_example(self, toy_folder):
        recorder = Recorder()
        run_lab(toy_lab(toy_folder, "tflite-fp32", count=5), recorder)
        counted = [(done, total) for _, stage, done, total in recorder.steps if total]
        assert counted == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
        assert {name for name, *_ in recorder.steps} == {"tflite-fp32"}


class TestResume:
    def test_a_part_of_the_plan_leaves_the_rest_of_the_results(self, lab):
        file = lab.results_path / "results.json"
        before = load(file).experiments
        recorder = Recorder()
        part = run_lab(with_plan(lab, "tflite-int8"), recorder)
        assert recorder.events == [("kept", "tflite-int8")]
        assert {e.name: e for e in part.experiments} == {e.name: e for e in before}
        whole = run_lab(lab, recorder := Recorder())
        assert recorder.events == [("kept", "tflite-fp32"), ("kept", "tflite-int8")]
        assert [e.name for e in whole.experiments] == ["tflite-fp32", "tflite-int8"]

    def test_more_experiments_are_added_to_what_there_is(self, lab):
        recorder = Recorder()
        results = run_lab(with_plan(lab, "tflite-int8", REFUSED, "tflite-fp32"), recorder)
        assert recorder.events[1] == ("failed", "tvm-refused")
        assert [e.name for e in results.experiments] == [
            *("tflite-int8", "tvm-refused", "tflite-fp32")
        ]

    def test_a_failed_experiment_is_a_result_and_is_tried_again(self, lab):
        for _ in range(2):
            recorder = Recorder()
            results = run_lab(with_plan(lab, REFUSED), recorder)
            assert recorder.events == [("failed", "tvm-refused")]
            failed = results.experiments[0]
            assert "softmax" in failed.reason
            assert "\n" not in failed.reason
            assert "Traceback" in (lab.results_path / failed.log).read_text()
        page = (lab.results_path / "tvm-refused-metrics.md").read_text()
        report = (lab.results_path / "report.md").read_text()
        assert "softmax" in page
        assert "Skipped or failed" in report
        assert "softmax" in report

    def test_other_data_set_aside_what_was_measured(self, lab):
        before = load(lab.results_path / "results.json")
        recorder = Recorder()
        after = run_lab(replace(with_plan(lab, "tflite-fp32"), fraction=0.5), recorder)
        assert recorder.events == [("done", "tflite-fp32")]
        assert [e.name for e in after.experiments] == ["tflite-fp32"]
        assert after.experiments[0].quality.samples == 20
        (copy,) = recorder.copies
        assert load(copy) == before

    def test_another_model_file_takes_only_its_experiments_anew(self, lab):
        before = load(lab.results_path / "results.json")
        lab.models["int8"].write_bytes(toy.quantized_model("uint8"))
        recorder = Recorder()
        after = run_lab(lab, recorder)
        assert recorder.events == [("kept", "tflite-fp32"), ("done", "tflite-int8")]
        assert after.experiments[0] == before.experiments[0]
        assert after.experiments[1].model["sha256"] != before.experiments[1].model["sha256"]
        assert load(recorder.copies[0]) == before

    def test_results_of_another_model_do_not_stay_beside_the_new(self, lab):
        lab.models["int8"].write_bytes(toy.quantized_model("uint8"))
        recorder = Recorder()
        after = run_lab(with_plan(lab, "tflite-fp32"), recorder)
        assert recorder.events == [("kept", "tflite-fp32")]
        assert [e.name for e in after.experiments] == ["tflite-fp32"]
        assert [e.name for e in load(recorder.copies[0]).experiments] == [
            *("tflite-fp32", "tflite-int8")
        ]

    @pytest.mark.parametrize("damage", ["", "{", "null", '{"schema": 99}', "PNG\0\xff"])
    def test_damaged_results_are_neither_used_nor_overwritten(self, lab, damage):
        file = lab.results_path / "results.json"
        file.write_text(damage)
        recorder = Recorder()
        with pytest.raises(ResultsError, match=r"results\.json .* move the file away") as refused:
            run_lab(lab, recorder)
        assert "\n" not in str(refused.value)
        assert file.read_text() == damage
        assert recorder.events == recorder.steps == []

    def test_half_written_files_of_a_killed_run_are_cleared(self, lab):
        leftovers = [
            *(".results.json.a1b2c3d4", ".toy.fp32.tvm-toy.so.abcdefgh"),
            *(".report.md.zzzzzzzz", "img/.latency.png.00000000"),
        ]
        others = [".results.json.backup", ".bashrc", ".notes.so.much.to.do", "toy.so.12345678"]
        (lab.results_path / "img").mkdir(exist_ok=True)
        for name in (*leftovers, *others):
            (lab.results_path / name).write_text("half")
        run_lab(with_plan(lab, "tflite-fp32"), Recorder())
        assert not [name for name in leftovers if (lab.results_path / name).exists()]
        assert all((lab.results_path / name).exists() for name in others)

    def test_two_runs_do_not_write_to_one_directory(self, lab):
        with (
            claim(lab.results_path),
            pytest.raises(
                ResultsError,
                match=rf"another run \(process {os.getpid()}\) is writing its results there",
            ),
        ):
            run_lab(lab, Recorder())
        run_lab(lab, Recorder())


class TestTurns:
    def test_a_new_experiment_makes_all_take_turns_again(self, lab):
        lab = replace(lab, launches=1, rounds=2, min_time_s=0.001)
        one = run_lab(with_plan(lab, "tflite-fp32"), Recorder()).turns
        assert one.rounds_ms.keys() == {"tflite-fp32", "tflite-int8"}  # both are in the file
        again = run_lab(with_plan(lab, "tflite-int8"), recorder := Recorder()).turns
        assert again == one
        assert not recorder.steps
        three = run_lab(with_plan(lab, "tflite-fp32", TVM_TOY), Recorder()).turns
        assert three.rounds_ms.keys() == {"tflite-fp32", "tflite-int8", "tvm-toy"}

    def test_other_rounds_are_taken_and_none_leaves_what_there_is(self, lab):
        lab = replace(lab, launches=1, rounds=2, min_time_s=0.001)
        assert run_lab(lab, Recorder()).turns.rounds == 2
        assert run_lab(replace(lab, rounds=3), Recorder()).turns.rounds == 3
        assert run_lab(replace(lab, launches=0), Recorder()).turns.rounds == 3


class TestImages:
    """An image that does not decode concerns every experiment: the run ends, results stay."""

    @pytest.fixture
    def pets(self, toy_folder):
        root = write_pets(toy_folder / "pets")
        lab = toy_lab(toy_folder, "tflite-fp32")
        model = toy_folder / "pets.tflite"
        model.write_bytes(toy.pets_model())
        models = {"fp32": model, "int8": model}
        return replace(lab, dataset=f"oxford-pet:{root}", models=models)

    def test_an_image_that_does_not_decode_ends_the_run(self, pets, toy_folder):
        before = run_lab(pets, Recorder()).experiments
        assert before[0].status == "done"
        image = toy_folder / "pets/images/american_bulldog_10.jpg"
        image.write_bytes(image.read_bytes()[:100])
        recorder = Recorder()
        with pytest.raises(DatasetError, match=r"american_bulldog_10\.jpg"):
            run_lab(with_plan(pets, "tflite-fp32", "tflite-int8"), recorder)
        assert recorder.events == [("kept", "tflite-fp32")]
        assert load(pets.results_path / "results.json").experiments == before

"""Each experiment has a process of its own, and whatever becomes of that is a result."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from assay.errors import ResultsError
from assay.lab.runner import run_lab
from assay.lab.store import load
from tests.lab.runs import TVM_TOY, Recorder, toy_lab, with_plan, workers


def send_once(number: signal.Signals, wanted_stage: str):
    """Return a watcher that sends a signal to the first worker that reaches a stage."""
    sent: list[int] = []

    def watch(_name: str, stage: str) -> None:
        if stage == wanted_stage and not sent:
            sent.extend(workers())
            os.kill(sent[0], number)

    return watch


@pytest.mark.parametrize(
    ("number", "stage", "words"),
    [
        (signal.SIGKILL, "evaluating", "signal 9, Killed (perhaps the memory ran out)"),
        (signal.SIGSEGV, "compiling", "signal 11, Segmentation fault"),
        (signal.SIGILL, "evaluating", "signal 4, Illegal instruction (perhaps the target is not"),
    ],
)
def test_a_worker_that_dies_fails_only_its_experiment(toy_folder, number, stage, words):
    lab = toy_lab(toy_folder, TVM_TOY, "tflite-fp32", count=2000)
    recorder = Recorder(send_once(number, stage))
    results = run_lab(lab, recorder)
    assert recorder.events == [("failed", "tvm-toy"), ("done", "tflite-fp32")]
    failed = results.experiments[0]
    assert failed.reason.startswith(f"its process died of {words}")
    assert failed.reason.endswith("what it wrote is in tvm-toy.log")
    assert failed.config["target"] == "llvm"
    assert load(lab.results_path / "results.json") == results
    assert workers() == []


def test_a_worker_that_does_not_end_is_stopped_at_its_limit(toy_folder, monkeypatch):
    monkeypatch.setenv("ASSAY_MAX_CPU_S", "1")
    lab = toy_lab(toy_folder, TVM_TOY, count=200_000)
    (failed,) = run_lab(lab, Recorder()).experiments
    assert failed.status == "failed"
    assert failed.reason.startswith("its process died of signal 24, CPU time limit exceeded")
    assert "ASSAY_MAX_CPU_S allows more" in failed.reason


def test_the_next_run_tries_the_dead_one_again(toy_folder):
    lab = toy_lab(toy_folder, "tflite-fp32", "tflite-int8", count=2000)
    run_lab(lab, Recorder(send_once(signal.SIGKILL, "evaluating")))
    recorder = Recorder()
    run_lab(lab, recorder)
    assert recorder.events == [("done", "tflite-fp32"), ("kept", "tflite-int8")]


NONSENSE = b'\nINFO: ready\n\xff\xfe\n[1]\n"x"\n3\n{}\n{"half": \n'


def test_lines_that_are_no_messages_are_passed_over(toy_folder):
    """A worker's standard output is a pipe that anything in its process could write to."""
    written: list[Path] = []

    def write_nonsense(_name: str, stage: str) -> None:
        if stage == "loading" and not written:
            written.extend(output_pipes(workers()[0]))
            for pipe in written:
                pipe.write_bytes(NONSENSE)

    recorder = Recorder(write_nonsense)
    results = run_lab(toy_lab(toy_folder, "tflite-fp32", count=3), recorder)
    assert len(written) == 1
    assert results.experiments[0].status == "done"
    steps = [(stage, done) for _, stage, done, _ in recorder.steps]
    evaluating = [("evaluating", done) for done in (0, 1, 2, 3)]
    assert steps == [("loading", 0), *evaluating]


def output_pipes(pid: int) -> list[Path]:
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue  # closed meanwhile
        flags = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text().split()[3]
        if target.startswith("pipe:") and int(flags, 8) & os.O_ACCMODE == os.O_WRONLY:
            found.append(descriptor)
    return found


def test_a_worker_that_dies_at_once_is_a_failure(toy_folder, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", str(toy_folder / "no-python"))
    results = run_lab(toy_lab(toy_folder, "tflite-fp32"), Recorder())
    failed = results.experiments[0]
    assert failed.status == "failed"
    assert failed.reason == "its process ended with code 1; the traceback is in tflite-fp32.log"


def test_an_interruption_kills_the_worker_and_keeps_the_rest(toy_folder):
    lab = toy_lab(toy_folder, "tflite-fp32", "tflite-int8", count=2000)
    pids: list[int] = []

    def interrupt(name: str, stage: str) -> None:
        if (name, stage) == ("tflite-int8", "evaluating"):
            pids.extend(workers())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_lab(lab, Recorder(interrupt))
    assert len(pids) == 1
    assert workers() == []
    kept = load(lab.results_path / "results.json").experiments
    assert [(e.name, e.status) for e in kept] == [("tflite-fp32", "done")]


def test_temporary_files_of_a_killed_worker_are_removed(toy_folder):
    results = toy_folder / "results"
    seen: list[int] = []

    def look(_name: str, stage: str) -> None:
        if stage == "compiling":
            seen.append(len(list(results.glob(".assay-*"))))
            time.sleep(0.2)
            os.kill(workers()[0], signal.SIGKILL)

    run_lab(toy_lab(toy_folder, TVM_TOY), Recorder(look))
    assert seen == [1]
    assert list(results.glob(".*")) == []


def test_modules_in_the_current_directory_do_not_get_in_the_way(toy_folder, monkeypatch):
    toy_folder.mkdir()
    (toy_folder / "numpy.py").write_text("raise SystemExit('the wrong NumPy')")
    monkeypatch.chdir(toy_folder)
    results = run_lab(toy_lab(toy_folder, "tflite-fp32"), Recorder())
    assert results.experiments[0].status == "done"


def test_a_log_that_cannot_be_written_ends_the_run(lab):
    (lab.results_path / "tvm-toy.log").mkdir()
    with pytest.raises(ResultsError, match=r"tvm-toy\.log cannot be written"):
        run_lab(with_plan(lab, "tflite-fp32", TVM_TOY), Recorder())


def test_threads_reach_the_worker(toy_folder):
    lab = toy_lab(toy_folder, "tflite-fp32", count=60)
    counts: list[int] = []

    def count(_name: str, stage: str) -> None:
        if stage == "evaluating":
            counts.extend(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in workers())

    most = []
    for threads in (1, 4):
        counts.clear()
        results = run_lab(replace(lab, threads=threads), Recorder(count))
        assert results.threads == threads
        most.append(max(counts))
    assert most[1] >= most[0] + 2  # three more, but for one of a library's that comes and goes

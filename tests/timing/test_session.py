"""Comparisons of real contenders, with as few and short rounds as there can be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from assay.compiler.config import Config
from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.errors import TimingError
from assay.timing.record import Contender, Settings
from assay.timing.session import run_bench
from tests.timing.processes import contenders, running, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")

CORE = max(os.sched_getaffinity(0)) if sys.platform == "linux" else 0
QUICK = Settings(launches=2, rounds=5, min_time_s=0.002, cores=(CORE,))


@pytest.fixture(scope="module")
def found(addition, library):
    """A build from source, one as it is, a runtime, and one that cannot take part."""
    steps = []
    fields = {"model": "addition", "path": addition}
    entries = (
        Contender("build", runtime="tvm", config=Config(opt_level=1), **fields),
        Contender("library", "addition", "tvm", library),
        Contender("litert", runtime="litert", **fields),
        Contender("absent", runtime="onnxruntime", skip="there is no file", **fields),
    )
    bench = run_bench(entries, QUICK, lambda *step: steps.append(step), "the command")
    return bench, steps


def test_everyone_is_timed_in_every_round(found):
    bench, _ = found
    assert [each.status for each in bench.outcomes] == ["timed"] * 3 + ["skipped"]
    assert bench.outcomes[3].reason == "there is no file"
    for outcome in bench.timed:
        assert [len(launch.rounds) for launch in outcome.launches] == [3, 2]
        for launch in outcome.launches:
            assert launch.use.threads_used == 1
            assert launch.use.cores == (CORE,)
            assert launch.use.idle_share < 0.2
            assert launch.costs.first_ms > 0
    assert [sorted(order) for order in bench.orders] == [[0, 1, 2]] * 5


def test_only_a_build_from_source_has_a_compile_time(found):
    bench, _ = found
    assert bench.outcomes[0].compilation.compile_s > 0
    assert [each.compilation for each in bench.outcomes[1:]] == [None] * 3


def test_the_statistics_are_those_of_the_raw_samples(found):
    bench, _ = found
    for outcome in bench.timed:
        rounds = [each.samples_ns for launch in outcome.launches for each in launch.rounds]
        values = [median(samples) / 1e6 for samples in rounds]
        runs = np.concatenate(rounds) / 1e6
        assert outcome.spread.runs == len(runs)
        assert outcome.spread.median_ms == pytest.approx(median(values))
        assert outcome.spread.p99_ms == pytest.approx(np.percentile(runs, 99))
        assert [each for launch in outcome.values_ms for each in launch] == pytest.approx(values)


def test_all_pairs_of_those_that_were_timed(found):
    bench, _ = found
    pairs = [(each.subject, each.reference) for each in bench.comparisons]
    assert pairs == [("library", "build"), ("litert", "build"), ("litert", "library")]


def test_they_compute_the_same(found):
    bench, _ = found
    assert [each.output_difference for each in bench.timed] == [0, 0, 0]


def test_progress_reaches_its_end(found):
    _, steps = found
    total = 4 + 2 * 4 + 5  # compilations, launches, rounds
    assert steps == [(done, total) for done in range(1, total + 1)]


def test_processes_and_files_are_gone(found):
    assert not contenders()


def test_the_order_of_turns_is_random_but_repeats(digits):
    twice = (replace(digits, label="a"), replace(digits, label="b"))
    settings = Settings(launches=1, rounds=12, min_time_s=0, cores=(CORE,), seed=3)
    first, second = (run_bench(twice, settings).orders for _ in range(2))
    assert first == second
    assert {(0, 1), (1, 0)} == set(first)


def test_a_contender_whose_process_dies_is_named_and_others_go_on(digits):
    victim, survivor = replace(digits, label="victim"), replace(digits, label="survivor")

    def kill(done, total):
        if done == 6:  # two compiled (nothing), two launched, two rounds
            os.kill(min(contenders()), signal.SIGKILL)

    settings = replace(QUICK, launches=1, rounds=6)
    bench = run_bench((victim, survivor), settings, kill)
    by_status = {each.status: each for each in bench.outcomes}
    assert "died of signal 9, Killed" in by_status["failed"].reason
    assert len(by_status["timed"].launches[0].rounds) == 6
    assert bench.comparisons == ()


def test_a_model_that_cannot_be_loaded_is_named_and_others_go_on(digits, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(DIGITS_FP32.read_bytes()[:1000])
    bench = run_bench((Contender("damaged", "x", "litert", damaged), digits), QUICK)
    assert [each.status for each in bench.outcomes] == ["failed", "timed"]
    assert str(damaged) in bench.outcomes[0].reason


def test_a_model_that_cannot_be_compiled_is_named(digits, addition):
    wrong = Contender(
        "wrong", "addition", "tvm", addition, Config(target="llvm -mcpu=abacus"), None
    )
    bench = run_bench((wrong, digits), QUICK)
    assert bench.outcomes[0].status == "failed"
    assert "abacus" in bench.outcomes[0].reason


def test_if_nobody_comes_through_that_is_an_error(tmp_path):
    absent = Contender("a", "a", "litert", tmp_path / "a.tflite")
    with pytest.raises(TimingError, match=r"a: .*does not exist"):
        run_bench((absent,), QUICK)


def test_contenders_that_compute_something_else_are_found_out(digits):
    other = Contender("int8", "digits", "litert", DIGITS_INT8)
    float_, int8 = run_bench((digits, other), QUICK).outcomes
    assert float_.output_difference == 0
    assert int8.output_difference > 0


def test_an_error_in_between_leaves_no_process(digits):
    def fail(done, total):
        if done == 3:
            assert contenders()
            raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="the caller's own"):
        run_bench((digits,), replace(QUICK, launches=1), fail)
    assert not contenders()


SCRIPT = """
import sys
from assay.data import DIGITS_FP32
from assay.timing.record import Contender, Settings
from assay.timing.session import run_bench
contenders = [Contender(name, "digits", "litert", DIGITS_FP32) for name in ("a", "b")]
try:
    run_bench(contenders, Settings(rounds=100_000), lambda done, total: print(done, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_process_outlives_an_interrupted_measurement(number, code, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, env=environment
    )
    try:
        for _ in range(6):  # in the midst of the rounds
            parent.stdout.readline()
        children = contenders(parent.pid)
        assert len(children) == 2
        parent.send_signal(number)
        assert parent.wait(30) == code
    finally:
        parent.kill()
        parent.stdout.close()
    wait_until(lambda: not running(children), 10)
    if number == signal.SIGINT:
        assert list(Path(tmp_path).iterdir()) == []

"""A command's work dies in a child process: real signals, real limits, one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest

from assay.data import DIGITS_FP32
from tests.builder import GraphBuilder
from tests.lab.runs import alive, assay_command, guarded, wait_until

# With a build in the cache there would be no compiler at work.
pytestmark = pytest.mark.usefixtures("own_cache")


def start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        assay_command("compile", DIGITS_FP32, "-o", folder / "digits.so"),
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(folder), **environment},
    )


def compiling(process: subprocess.Popen[str]) -> int:
    """Wait until the child has loaded the compiler; return its process."""
    child = guarded(process.pid)
    wait_until(lambda: "libtvm" in Path(f"/proc/{child}/maps").read_text())
    return child


def sentence(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, ""), err
    return err.splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGSEGV, "signal 11, Segmentation fault"),
        (signal.SIGILL, "signal 4, Illegal instruction (perhaps the target is not for this CPU)"),
        (signal.SIGKILL, "signal 9, Killed (perhaps the memory ran out)"),
    ],
)
def test_a_crash_is_one_sentence(tmp_path, number, words):
    process = start(tmp_path)
    os.kill(compiling(process), number)
    said = sentence(process)
    assert said.startswith(f"assay: assay compile {DIGITS_FP32} -o ")
    assert f"its process died of {words}; " in said
    logs = list(tmp_path.glob("assay-crash-*.log"))
    if logs:
        assert said.endswith(f"where it was is in {logs[0]}")
        assert "most recent call first" in logs[0].read_text()
    else:
        assert said.endswith("what it wrote is above")
    assert number != signal.SIGILL or logs
    assert not list(tmp_path.glob("*digits.so*"))


@pytest.mark.parametrize("runtime", ["litert", "tvm"])
def test_memory_has_a_limit(tmp_path, runtime):
    """A file of a kilobyte may well declare a tensor of gigabytes."""
    side = 30_000
    graph = GraphBuilder()
    x = graph.input("x", (1, 4, 4, 1))
    size = graph.constant("size", np.int32([side, side]))
    graph.output(graph.op("RESIZE_NEAREST_NEIGHBOR", [x, size], (1, side, side, 1)))
    model, given = tmp_path / "large.tflite", tmp_path / "x.npy"
    model.write_bytes(graph.build())
    np.save(given, np.ones((1, 4, 4, 1), np.float32))
    done = subprocess.run(
        assay_command(
            *("run", model, "--input", given, "--output", tmp_path / "y.npy"),
            *("--runtime", runtime),
        ),
        env={**os.environ, "ASSAY_MAX_MEMORY_MB": "2000", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.splitlines()[-1].startswith("assay: ")
    assert "Traceback (most recent" not in done.stderr
    assert not (tmp_path / "y.npy").exists()


def test_cpu_time_has_a_limit(tmp_path):
    said = sentence(start(tmp_path, ASSAY_MAX_CPU_S="1"))
    assert "CPU time limit exceeded (its CPU time is used up; ASSAY_MAX_CPU_S allows more)" in said


@pytest.mark.parametrize("value", ["none", "0", "-1", "1.5", str(1 << 40)])
@pytest.mark.parametrize("variable", ["ASSAY_MAX_MEMORY_MB", "ASSAY_MAX_CPU_S"])
def test_a_limit_that_is_no_number(tmp_path, variable, value):
    assert f"{variable}='{value}' is no whole number" in sentence(
        start(tmp_path, **{variable: value})
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("group", [False, True])
def test_a_signal_to_the_command_ends_both_and_the_shell_sees_it(tmp_path, number, group):
    process = start(tmp_path)
    child = compiling(process)
    (os.killpg if group else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (-number, "")
    assert "Traceback" not in err
    assert "its process died" not in err
    assert not alive(child)


def test_the_child_does_not_outlive_the_command(tmp_path):
    process = start(tmp_path)
    child = compiling(process)
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not alive(child), seconds=10)


def test_stopped_and_continued_it_goes_on(tmp_path):
    process = start(tmp_path)
    compiling(process)
    os.killpg(process.pid, signal.SIGTSTP)  # Ctrl-Z
    os.killpg(process.pid, signal.SIGCONT)  # fg
    assert process.wait(timeout=120) == 0


def test_exit_codes_and_output_come_through(tmp_path):
    for arguments, code in ((["--version"], 0), (["frobnicate"], 2), (["inspect", "/none"], 2)):
        done = subprocess.run(assay_command(*arguments), capture_output=True, text=True)
        assert done.returncode == code
        assert "Traceback" not in done.stderr
        assert bool(done.stdout) == (code == 0)


def test_in_python_there_is_no_guard():
    script = "import os, assay.cli.main as m; pid = os.getpid()\ntry: m.main(['--version'])\n"
    script += "except SystemExit: assert os.getpid() == pid; print('the same')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.endswith("the same\n")

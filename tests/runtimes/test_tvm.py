"""TVM's runtime: the thread pool is what was asked for, and stays out of the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from assay.data import DIGITS_FP32
from assay.errors import ConfigError
from assay.runtimes.tvm import open_build, open_tvm, use_threads
from tests.compiler.digits import built

SCRIPT = """
import json, os, sys, time
from pathlib import Path
import assay
from assay.data import DIGITS_FP32
from assay.runtimes.tvm import open_build

def ticks():
    used = {}
    for task in Path("/proc/self/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        used[task.name] = int(fields[11]) + int(fields[12])
    return used

runtime = open_build(assay.compile(DIGITS_FP32, opt_level=2), threads=int(sys.argv[1]))
runtime.run()
before, started = ticks(), time.monotonic()
while True:  # at least a second; on a busy machine longer, until all have had their turn
    runtime.run()
    after, passed = ticks(), time.monotonic() - started
    busy = sum(after[name] - before.get(name, 0) >= 10 for name in after)
    if passed > 30 or (passed > 1 and busy >= int(sys.argv[1])):
        break
time.sleep(0.5)
idle = sum(ticks().values()) - sum(after.values())
print(json.dumps({"busy": busy, "idle": idle, "cores": len(os.sched_getaffinity(0))}))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_as_many_threads_work_as_were_asked_for_and_sleep_afterwards(threads):
    if threads > len(os.sched_getaffinity(0)):
        pytest.skip(f"needs {threads} cores")
    command = [sys.executable, "-c", SCRIPT, str(threads)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TVM_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    seen = json.loads(done.stdout)
    assert seen["busy"] == threads
    assert seen["idle"] <= 5, "ticks of 10 ms that workers span in half a second of idling"
    assert seen["cores"] == len(os.sched_getaffinity(0)), "the calling thread was pinned"


def test_fewer_than_one_thread_is_refused():
    with pytest.raises(ConfigError, match="0"):
        open_tvm(DIGITS_FP32, threads=0)


def test_more_threads_than_the_pool_has_are_refused():
    use_threads(1)  # the pool exists from here on
    with pytest.raises(ConfigError, match="TVM_NUM_THREADS=4096"):
        use_threads(4096)
    assert use_threads(1) == 1


def test_a_library_runs_without_the_compiler(tmp_path):
    build = built("int8")
    build.save(tmp_path / "digits.so")
    script = (
        "import sys\n"
        "from assay.runtimes.registry import open_runtime\n"
        f"runtime = open_runtime('tvm', {str(tmp_path / 'digits.so')!r})\n"
        "runtime.run()\n"
        "print(runtime.get_output().tobytes().hex(), 'tvm' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = open_build(build)
    expected.run()
    assert done.stdout.split() == [expected.get_output().tobytes().hex(), "False"]

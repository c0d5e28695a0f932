"""Reading /proc, from files with known content and of this process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from assay.timing import probe

linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux' /proc")


@pytest.fixture
def task(tmp_path):
    """Two threads, as the kernel shows them."""
    for thread, text in (("7", "1500 300 4"), ("12", "20 1 1")):
        (tmp_path / thread).mkdir()
        (tmp_path / thread / "schedstat").write_text(text + "\n")
    return tmp_path


def test_threads_have_their_time_and_their_waiting(task):
    assert probe.thread_times(task) == {
        7: probe.ThreadTime(1500, 300),
        12: probe.ThreadTime(20, 1),
    }


def test_ticks_stand_in_for_nanoseconds(task):
    """A thread may be named anything, even like the end of the field that holds its name."""
    (task / "7/schedstat").unlink()
    (task / "7/stat").write_text("7 (a) 1 (b) S " + " ".join(map(str, range(4, 30))) + "\n")
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert probe.thread_times(task)[7] == probe.ThreadTime((14 + 15) * tick, 0)


def test_threads_that_want_to_run(task):
    for thread, state in (("7", "R"), ("12", "S")):
        (task / thread / "stat").write_text(f"{thread} (x) {state} 1 2\n")
    assert probe.runnable_threads(task) == 1
    (task / "12/stat").unlink()
    assert probe.runnable_threads(task) == 1


def test_a_thread_that_ended_meanwhile_is_left_out(task):
    (task / "7/schedstat").unlink()
    assert list(probe.thread_times(task)) == [12]


def test_no_proc_no_threads(tmp_path):
    assert probe.thread_times(tmp_path / "absent") == {}
    assert probe.thread_cores(tmp_path / "absent") == ()


def test_memory_is_in_bytes(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t    512 kB\n")
    assert probe.memory_bytes("VmHWM", status) == 2048 * 1024
    assert probe.memory_bytes("VmRSS", status) == 512 * 1024
    assert probe.memory_bytes("VmSwap", status) is None
    assert probe.memory_bytes("VmRSS", tmp_path / "absent") is None


STAT = """\
cpu  100 10 20 4000 50 3 7 11 9 0
cpu0 60 10 15 2000 20 3 2 8 9 0
cpu1 40 0 5 2000 30 0 5 3 0 0
cpu10 9 9 9 9 9 9 9 9 9 9
intr 1
"""


@pytest.mark.parametrize(
    ("cores", "busy", "stolen"),
    [((), 140, 11), ((0,), 90, 8), ((1,), 50, 3), ((0, 1), 140, 11)],
)
def test_time_of_cores(tmp_path, cores, busy, stolen):
    """Busy is user, nice, system and interrupts; not idle, waiting for disks, guests."""
    (tmp_path / "stat").write_text(STAT)
    tick = os.sysconf("SC_CLK_TCK")
    found = probe.core_time(cores, tmp_path / "stat")
    assert found == probe.CoreTime(busy / tick, stolen / tick)


def test_time_of_unknown_cores(tmp_path):
    (tmp_path / "stat").write_text(STAT)
    assert probe.core_time((7,), tmp_path / "stat") is None
    assert probe.core_time((), tmp_path / "absent") is None


@linux
def test_a_thread_that_works_is_seen():
    used = {}

    def work():
        while time.thread_time() < 0.05:
            pass
        used[threading.get_native_id()] = time.thread_time_ns()
        done.wait()

    done = threading.Event()
    worker = threading.Thread(target=work)
    before = probe.thread_times()
    worker.start()
    while not used:
        time.sleep(0.005)
    after = probe.thread_times()
    done.set()
    worker.join()
    ((thread, busy_ns),) = used.items()
    assert thread not in before
    assert after[thread].busy_ns == pytest.approx(busy_ns, rel=0.3)


@linux
def test_this_process_has_memory_and_cores():
    assert 2**20 < probe.memory_bytes("VmRSS") <= probe.memory_bytes("VmHWM") < 2**40
    assert set(probe.thread_cores()) >= os.sched_getaffinity(0)


@linux
def test_a_thread_elsewhere_widens_the_cores():
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs two cores")
    ready, done = threading.Event(), threading.Event()

    def elsewhere():
        os.sched_setaffinity(0, {cores[0]})
        ready.set()
        done.wait()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    ready.wait()
    seen = probe.thread_cores()
    done.set()
    thread.join()
    assert set(seen) >= set(cores)


@linux
def test_cpu_time_is_exact_under_a_limit():
    script = (
        "import resource, time\n"
        "from assay.timing import probe\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (3600, 3600))\n"
        "for _ in range(20):\n"
        "    thread, process = time.thread_time_ns(), probe.process_time_ns()\n"
        "    sum(range(200_000))\n"
        "    process = probe.process_time_ns() - process\n"
        "    print(process / (time.thread_time_ns() - thread))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    shares = [float(line) for line in done.stdout.split()]
    assert min(shares) > 0.9
    assert max(shares) < 1.1

"""A model that is run often, and loaded often, leaves nothing behind in the process."""

from __future__ import annotations

import subprocess
import sys


def test_nothing_is_left_of_inferences_and_loads():
    command = [sys.executable, "-m", "benchmarks.soak", "--inferences", "2000", "--cycles", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": flat\n") == 2

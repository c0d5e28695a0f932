"""What assay's builds compute, against LiteRT's reference kernels, on a folder of models.

    python -m benchmarks.agreement                            # 200 builds: an hour or two
    python -m benchmarks.agreement --levels 3 --layouts nhwc  # some of them
    python -m benchmarks.agreement --levels 3 4 0 1 2 --jobs 2

Each model runs on 20 random inputs, uniform over the range of its data. Levels come in the order
given, and at each level the smallest models first. What is found goes to a JSON file after each
build, and a build that is in there is not done again; docs/agreement.md is written from all of it.
Models come from the folder in ASSAY_SHARED, or ``../shared`` beside the repository: those that are
absent are skipped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

from assay.compiler.config import OPT_LEVELS
from assay.errors import AssayError
from assay.lab.store import write_text
from assay.model.reader import read
from assay.timing.machine import machine_facts, versions
from benchmarks.agreement_page import page, verdict
from benchmarks.peers import MODELS, ROOT, SHARED

PAGE = ROOT / "docs" / "agreement.md"
LAYOUTS = ("nhwc", "nchw")


class Findings:
    """What is known of all models, kept in a file that is complete after each build."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._commit = _commit()
        self.all = json.loads(path.read_text()) if path.is_file() else {"models": {}}
        self.all |= {"machine": machine_facts(), "versions": versions()}

    def missing(self, name: str, pairs: Iterable[str]) -> list[str]:
        """Return the builds of a model that are not done yet."""
        known = self.all["models"].get(name, {"builds": {}})
        return [pair for pair in pairs if pair not in known["builds"]]

    def add(self, name: str, message: dict[str, Any]) -> None:
        """Take in what a worker says of a model: about itself, or about one build."""
        with self._lock:
            known = self.all["models"].setdefault(name, {"builds": {}})
            pair = message.pop("build", None)
            if pair is None:
                known |= message
            else:
                known["builds"][pair] = message | {"commit": self._commit}
                print(f"{name} {pair}: {verdict(known, message)}", flush=True)
            write_text(self._path, json.dumps(self.all) + "\n")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Compare what is not known yet, level by level; return all that is known."""
    found = Findings(options.json)
    deadline = time.monotonic() + options.limit
    paths = [options.shared / name for name in options.models or MODELS]
    present = sorted((path for path in paths if path.is_file()), key=lambda path: read(path).macs)

    def compare(level: int, path: Path) -> None:
        pairs = found.missing(path.stem, (f"{level}:{layout}" for layout in options.layouts))
        while pairs and time.monotonic() < deadline:
            for message in _worker(path, options.json.with_suffix(""), pairs):
                found.add(path.stem, message)
                if time.monotonic() > deadline:
                    break
            pairs = found.missing(path.stem, pairs)

    with ThreadPoolExecutor(options.jobs) as pool:
        for done in [pool.submit(compare, *each) for each in product(options.levels, present)]:
            done.result()
    return found.all


def _commit() -> str:
    """Return what the builds are of, '' outside of a repository."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _worker(path: Path, cache: Path, pairs: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what a worker says; if it dies, that is what is known of the build it was at."""
    command = [sys.executable, "-m", "benchmarks.agreement_worker", str(path), str(cache), *pairs]
    left = list(pairs)
    with (
        (cache.parent / f"{path.stem}.log").open("a") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT) as child,
    ):
        assert child.stdout is not None
        try:
            for line in child.stdout:
                message = json.loads(line)
                if "build" in message:
                    left.remove(message["build"])
                yield message
            if child.wait():
                why = f"the process ended with code {child.returncode}; see {log.name}"
                yield {"build": left[0], "failure": why}
        finally:
            child.kill()


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options, checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of the models")
    parser.add_argument("--models", nargs="+", metavar="FILE", help="only these, below --shared")
    parser.add_argument("--levels", type=int, nargs="+", choices=OPT_LEVELS, default=[*OPT_LEVELS])
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=[*LAYOUTS])
    parser.add_argument("--limit", type=float, default=float("inf"), help="begin no build later, s")
    parser.add_argument("--jobs", type=int, default=1, help="builds at the same time")
    parser.add_argument("--json", type=Path, default=Path("agreement.json"), help="what is found")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    return parser.parse_args(arguments)


def main() -> None:
    """Compare and write the page."""
    options = parse(sys.argv[1:])
    try:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_text(options.page, page(run(options)))
    except AssayError as error:
        sys.exit(f"agreement: {error}")
    print(f"{options.page} written")


if __name__ == "__main__":
    main()

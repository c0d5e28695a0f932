"""Whatever happens to a file, reading it ends in facts or in one sentence."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.errors import ModelError
from assay.model.facts import Model
from assay.model.reader import read
from tests.model.networks import control_flow, float_network, integer_network

NETWORKS = {"float": float_network, "integer": integer_network, "control-flow": control_flow}
COUNT = 300
LOADABLE_BYTES = 1 << 26  # a mutant may well declare tensors larger than this machine's memory
TELLING = (0, 1, 2, 4, 127, 128, 255)


def mutants(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield damaged copies: flipped bits, telling bytes, copied stretches, cut ends."""
    rng = random.Random(seed)
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 4))):
            at, other = rng.randrange(len(data)), rng.randrange(len(data))
            length = rng.choice((1, 2, 4, 8, 32))
            kind = rng.choice(("flip", "flip", "value", "value", "splice", "remove", "cut"))
            if kind == "flip" and at < len(mutant):
                mutant[at] ^= 1 << rng.randrange(8)
            elif kind == "value" and at < len(mutant):
                mutant[at] = rng.choice(TELLING)
            elif kind == "splice":
                mutant[at : at + length] = data[other : other + length]
            elif kind == "remove":
                del mutant[at : at + length]
            elif kind == "cut" and rng.random() < 0.3:
                del mutant[at:]
        yield bytes(mutant)


def attempt(path: Path) -> Model | str:
    """Return the facts of a file, or the sentence that refuses it."""
    try:
        return read(path)
    except ModelError as error:
        return str(error)


def survivors(data: bytes, count: int, folder: Path) -> int:
    """Read mutants, keep in ``folder`` those that pass, and return how many were refused."""
    refused = 0
    path = folder.parent / "mutant.tflite"
    for number, mutant in enumerate(mutants(data, count, seed=count + len(data))):
        path.write_bytes(mutant)
        outcome = attempt(path)
        if isinstance(outcome, str):
            assert outcome.startswith(str(path))
            assert "\n" not in outcome
            refused += 1
        elif sum(tensor.size_bytes for tensor in outcome.tensors) < LOADABLE_BYTES:
            (folder / f"{number:04}.tflite").write_bytes(mutant)
    return refused


def load_all(folder: Path) -> None:
    child = Path(__file__).with_name("litert_child.py")
    command = [sys.executable, str(child), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout.splitlines()[-1:]} ended LiteRT: {done.stderr}"


@pytest.mark.parametrize("network", NETWORKS)
def test_damaged_files_are_refused_or_harmless(network: str, tmp_path: Path) -> None:
    folder = tmp_path / "passed"
    folder.mkdir()
    refused = survivors(NETWORKS[network](), COUNT, folder)
    assert refused > COUNT // 3
    assert any(folder.iterdir())
    load_all(folder)


def test_damaged_real_model(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "passed"
    folder.mkdir()
    data = (shared / "zoo" / "kws_ref_model.tflite").read_bytes()
    assert survivors(data, 150, folder) > 10
    load_all(folder)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_truncation_is_refused(network: str, tmp_path: Path) -> None:
    data = NETWORKS[network]()
    path = tmp_path / "cut.tflite"
    for length in range(0, len(data), 61):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            read(path)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_undamaged_files_load(network: str, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    path = tmp_path / "whole" / "net.tflite"
    path.write_bytes(NETWORKS[network]())
    assert read(path).operators
    load_all(path.parent)


def test_noise_behind_the_identifier(tmp_path: Path) -> None:
    rng = random.Random(7)
    path = tmp_path / "noise.tflite"
    for length in (8, 9, 16, 64, 1000):
        for _ in range(40):
            path.write_bytes(rng.randbytes(2) + b"\0\0TFL3" + rng.randbytes(length - 8))
            with pytest.raises(ModelError):
                read(path)

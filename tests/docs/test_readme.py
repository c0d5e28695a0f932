"""What the README and the other pages tell people to type works as written."""

from __future__ import annotations

import platform
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import typer

from assay.cli.entry import spread
from assay.cli.main import app
from assay.cpu import cpu_flags
from assay.data import DIGITS_FP32, DIGITS_INT8
from tests.docs.pages import PAGES, README, ROOT, blocks, commands, transcripts

# They take minutes, a download, or what the demo leaves; that their options exist is checked.
SLOW = {"bench", "diff", "explain", "lab", "demo", "report", "doctor"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def parse(words: list[str]) -> None:
    """Let the real command line parse an ``assay`` command, without running it."""
    group = typer.main.get_command(app)
    words = spread(words, "--experiments")
    if words[0].startswith("-"):
        with pytest.raises(typer.Exit):
            group.make_context("assay", words)
    else:
        group.commands[words[0]].make_context(words[0], words[1:])


def assay(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay.cli.main", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the files that the pages speak of."""
    path = tmp_path_factory.mktemp("typed")
    shutil.copy(DIGITS_FP32, path / "model.tflite")
    shutil.copy(DIGITS_INT8, path / "model.int8.tflite")
    np.save(path / "x.npy", np.zeros((1, 96, 96, 3), np.float32))
    return path


@every_page
def test_commands_name_programs_and_options_that_exist(page):
    for program, *words in commands(page.read_text()):
        if program == "assay":
            parse(words)
        elif program == "make":
            subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)
        elif program == "python":
            assert words[0] == "-m"
            assert find_spec(words[1])
        else:
            assert [program, words[0]] in (["pip", "install"], ["git", "clone"])


@pytest.mark.parametrize(
    "line",
    ["compile model.tflite", "compile m.tflite -o m.so --fast", "run m.so --input x", "tune m.so"],
)
def test_a_wrong_command_would_be_noticed(line):
    with pytest.raises((typer.BadParameter.__mro__[1], KeyError)):
        parse(shlex.split(line))


def test_the_readme_shows_the_two_commands_and_every_subcommand():
    typed = commands(README.read_text())
    assert ["make", "demo"] in typed
    assert ["make", "test"] in typed
    shown = {words[0] for program, *words in typed if program == "assay"}
    assert shown >= set(typer.main.get_command(app).commands)


def test_the_readmes_fast_commands_run(folder):
    for program, *words in commands(README.read_text()):
        if program != "assay" or words[0] in SLOW:
            continue
        done = assay(words, folder)
        assert done.returncode == 0, (words, done.stderr)
    assert np.load(folder / "y.npy").shape == (1, 10)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the messages name x86-64 CPUs")
@every_page
def test_transcripts_show_what_is_printed(page, folder):
    for line, shown in transcripts(page.read_text()):
        program, *words = shlex.split(line)
        assert program == "assay"
        done = assay(words, folder)
        assert done.stdout + done.stderr == shown


PYTHON_PAGES = tuple(page for page in PAGES if blocks(page.read_text(), "python"))


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_python_runs_from_the_top_of_the_page_down(page, tmp_path, folder):
    code = "\n".join(blocks(page.read_text(), "python"))
    if "core-avx2" in code and "avx2" not in cpu_flags():
        pytest.skip("the page's code is for a CPU with AVX2")
    if "lib.export_library" in code and shutil.which("g++") is None:
        pytest.skip("TVM's own export_library calls g++")
    for missing in re.findall(r"\"((?:data/|oxford-pet:|folder:)[^\"]+)\"", code):
        pytest.skip(f"the page's code needs {missing}")
    for name in ("model.tflite", "model.int8.tflite", "x.npy"):
        shutil.copy(folder / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

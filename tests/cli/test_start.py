"""Starting is quick, says what there is, and loads nothing that it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer

from assay.cli.main import app
from assay.lab import tvm_experiments

COMMANDS = ("inspect", "compile", "run", "eval", "bench", "lab", "demo", "doctor")
HEAVY = (
    *("numpy", "scipy", "sklearn", "matplotlib", "PIL", "jinja2", "rich.progress", "rich.table"),
    *("tvm", "tvm_ffi", "tflite", "flatbuffers", "ai_edge_litert", "onnxruntime", "openvino"),
)
LOADED = """
import sys
try:
    from assay.cli.main import main
    main({arguments!r})
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write("\\n".join(sys.modules))
"""


def loaded(script: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["lab", "--help"], ["--version"]])
def test_help_loads_no_heavy_package(arguments):
    modules = loaded(LOADED.format(arguments=arguments))
    assert "assay.cli.main" in modules
    assert modules.isdisjoint(HEAVY)


def test_the_package_itself_loads_no_heavy_package():
    modules = loaded('import sys, assay, assay.lab; sys.stderr.write("\\n".join(sys.modules))')
    assert "assay.lab" in modules
    assert modules.isdisjoint(HEAVY)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_command(assay, option):
    code, out, _ = assay(option)
    assert code == 0
    assert all(f"\n  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(assay, command):
    code, out, _ = assay(command, "--help")
    assert code == 0
    assert out.startswith("Usage: ")
    assert "--help" in out


@pytest.mark.parametrize("command", ["inspect", "compile", "eval", "lab", "demo", "doctor"])
def test_whatever_prints_a_table_writes_json_too(assay, command):
    assert "--json FILE" in assay(command, "--help").out


def test_version(assay):
    assert assay("--version") == (0, f"assay {version('assay')}\n", "")


def test_an_unknown_command_or_option(assay):
    for arguments in (["frobnicate"], ["lab", "--frobnicate"], ["--frobnicate"]):
        code, _, err = assay(*arguments)
        assert code == 2
        assert "frobnicate" in err
        assert "Traceback" not in err


class TestOldName:
    """``python -m assay.lab.tvm_experiments`` is ``assay lab``."""

    def test_it_takes_the_same_options(self):
        lab = typer.main.get_command(app).commands["lab"]
        old = typer.main.get_command(tvm_experiments.app)
        for ours, theirs in zip(lab.params, old.params, strict=True):
            assert (ours.opts, ours.required, ours.multiple) == (
                *(theirs.opts, theirs.required, theirs.multiple),
            )
            assert ours.default == theirs.default

    def test_the_courses_command_line_is_understood(self, files):
        command = [
            *(sys.executable, "-m", "assay.lab.tvm_experiments"),
            *("--fp32-model-path", "models/pet-dataset-tensorflow.fp32.tflite"),
            *("--int8-model-path", "models/pet-dataset-tensorflow.int8-0.8.tflite"),
            *("--dataset-root", "build/pet-dataset/", "--target", "llvm"),
            *("--results-path", "build/results"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=files, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("assay: models/pet-dataset-tensorflow.fp32.tflite")
        assert done.stderr.count("\n") == 1
        assert not (files / "build").exists()

    @pytest.mark.parametrize("option", ["-h", "--help"])
    def test_its_help_names_it(self, option):
        command = [sys.executable, "-m", "assay.lab.tvm_experiments", option]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.startswith("Usage: python -m assay.lab.tvm_experiments [OPTIONS]\n")


class TestCompletion:
    @pytest.mark.parametrize(
        ("words", "expected"),
        [("assay ", set(COMMANDS)), ("assay de", {"demo"}), ("assay lab --exp", {"--experiments"})],
    )
    def test_words_are_completed(self, words, expected):
        *_, last = parts = words.split(" ")
        environment = {
            **os.environ,
            "_ASSAY_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(parts) - 1),
        }
        script = "import sys; sys.argv = ['assay']; from assay.cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.stderr == ""
        found = set(done.stdout.split())
        assert found == expected if last else found >= expected

    def test_the_script_for_the_shell_is_shown(self, monkeypatch):
        script = "import sys; sys.argv = ['assay', '--show-completion']\n"
        script += "from assay.cli.main import main; main()"
        done = subprocess.run(
            ["bash", "-c", '"$0" -c "$1"; true', sys.executable, script],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "_ASSAY_COMPLETE=complete_bash" in done.stdout, done.stderr

"""``assay report`` on the command line: from results alone to pages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from assay.lab.store import save
from tests.lab.measured import measured_results
from tests.report.pages import RUN


@pytest.fixture
def folder(tmp_path):
    save(measured_results(*RUN), tmp_path / "run/results.json")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("form", "pages"),
    [("all", ["report.md", "report.html"]), ("html", ["report.html"]), ("markdown", ["report.md"])],
)
def test_pages_are_written_beside_the_results(assay, folder, form, pages):
    code, out, err = assay("report", folder, "--format", form)
    assert (code, err) == (0, "")
    assert out.splitlines() == [str(folder / page) for page in pages]
    assert all((folder / page).is_file() for page in pages)
    assert (folder / "img/latency.png").exists() == ("report.md" in pages)


def test_the_file_may_be_named_and_another_directory(assay, folder, tmp_path):
    other = tmp_path / "other"
    assert assay("report", folder / "results.json", "--format", "html", "-o", other).code == 0
    assert [path.name for path in other.iterdir()] == ["report.html"]


def test_the_summary_goes_where_the_repository_keeps_it(assay, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert assay("report", folder, "--format", "summary").out == "summaries/l04_tvm/README.md\n"
    assert (tmp_path / "summaries/l04_tvm/img/confusion-tflite-fp32.png").is_file()


def test_what_is_missing_is_said_in_one_sentence(assay, tmp_path):
    code, _, err = assay("report", tmp_path)
    assert code == 2
    assert err == (
        f"assay: {tmp_path}/results.json does not exist: run the experiments first, or name "
        "another results file\n"
    )


def test_it_needs_neither_tvm_nor_a_runtime(folder):
    code = (
        "import sys; from assay.lab.store import load; from assay.report.summary import *\n"
        f"write_report(load({str(folder / 'results.json')!r}), {str(folder)!r})\n"
        "heavy = ('tvm', 'ai_edge_litert', 'assay.compiler.build', 'assay.runtimes.tvm')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

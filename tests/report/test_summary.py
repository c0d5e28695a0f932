# ruff: noqa: RUF001 - an en dash stands for what is absent
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image

from assay.errors import ResultsError
from assay.lab.store import load, save
from assay.report.content import content
from assay.report.markdown import experiment_markdown
from assay.report.summary import write_experiment, write_report, write_summary
from tests.report.conftest import CLASSES, experiment

EXPECTED = {
    "report.md",
    "report.html",
    "img/latency.png",
    "img/accuracy-vs-latency.png",
    "img/sizes.png",
    "litert-fp32-metrics.md",
    "litert-fp32-confusion-matrix.png",
    "tvm-fp32-nhwc-metrics.md",
    "tvm-fp32-nhwc-confusion-matrix.png",
    "tvm-avx512-metrics.md",
    "stock-metrics.md",
}


def files(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def tables(page):
    """Return each run of table lines with the number of cells in each line."""
    runs = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    return [[line.replace(r"\|", "").count("|") - 1 for line in run.splitlines()] for run in runs]


def test_the_report_consists_of_these_files(results, tmp_path):
    assert write_report(results, tmp_path) == (tmp_path / "report.md", tmp_path / "report.html")
    assert files(tmp_path) == EXPECTED
    for image in tmp_path.rglob("*.png"):
        with Image.open(image) as opened:
            opened.verify()


def test_each_link_leads_to_a_file(results, tmp_path):
    write_report(results, tmp_path)
    for page in tmp_path.glob("*.md"):
        links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", page.read_text("utf-8"))
        assert all((tmp_path / link).is_file() for link in links)
    links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", (tmp_path / "report.md").read_text("utf-8"))
    assert len(links) == 3 + 1 + 2  # plots, the shared matrix, each experiment


def test_the_page_says_what_a_reader_asks_for(results, tmp_path):
    page = write_report(results, tmp_path)[0].read_text("utf-8")
    assert page.startswith("# 4 experiments on Pets\\*\n")
    for fact in (
        "```text\nassay lab --fp32 'my `odd` model.tflite'\n```",
        "| Threads | 2 |",
        "| Begun | 2026-01-02T03:04:05+00:00 |",
        "| cpu | Some CPU |",
        "| turbo | – |",
        "| apache-tvm | 0.27.0 |",
        "| crop | 0.875 |",
        "| classes | 3 |",
        "- `tvm-avx512`: skipped: no avx512f here\n",
        "- `stock`: failed: LLVM said: no \\| way \\[/x\\] (log: `stock.log`)\n",
        "## tvm, as it comes",
        "| Top-1 accuracy | 75.00 % |",
        "| G-mean | 86.60 % |",
        "| Mean ± standard deviation | 12.50 ± 1.25 ms |",
        "| opt_level | 3 |",
    ):
        assert fact in page
    assert "labels" not in page


def test_tables_have_as_many_cells_in_each_line(results, tmp_path):
    write_report(results, tmp_path)
    for page in tmp_path.glob("*.md"):
        text = page.read_text("utf-8")
        assert tables(text)
        for table in tables(text):
            assert len(set(table)) == 1
        assert "\n\n\n" not in text
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


def test_the_page_of_one_experiment(results):
    page = experiment_markdown(results.experiments[1])
    assert page.startswith("# tvm, as it comes\n\n| | |\n| --- | --- |\n")
    for line in (
        "| Experiment | `tvm-fp32-nhwc` |",
        "| Status | done |",
        '| Target | `{"kind": "llvm"}` |',
        "| Log | `tvm-fp32-nhwc.log` |",
        "| Top-5 accuracy | – |",
        "| Mean precision | 83.33 % |",
        "| Mean sensitivity | 87.50 % |",
        "![Confusion matrix of tvm-fp32-nhwc](tvm-fp32-nhwc-confusion-matrix.png)",
        "| Median | 12.50 ms |",
        "| 99th percentile | 13.73 ms |",
        "| First run, not counted above | 50.00 ms |",
        "| Timed runs | 3 |",
        "| Model file | 3.00 MiB (3145728 bytes) |",
        "| Compiled library | 4.00 MiB (4194304 bytes) |",
        "| Compile time | 12.35 s |",
        "| layout | NHWC |",
        "| fast | no |",
        "| passes | a, b |",
        "| file | pet_model.tflite |",
        "| inputs | name: x, shape: 1, 2 |",
    ):
        assert f"\n{line}\n" in page


def test_an_experiment_without_numbers_has_a_page_all_the_same(results):
    page = experiment_markdown(results.experiments[3])
    assert page.startswith("# Stock \\[bold\\]TVM\\[/bold\\]\n")
    assert "| Status | failed: LLVM said: no \\| way \\[/x\\] |" in page
    assert "Quality" not in page
    assert "Latency" not in page
    assert "Size" not in page


def test_one_experiment_is_written_as_soon_as_it_is_done(results, tmp_path):
    write_experiment(results.experiments[0], CLASSES, tmp_path / "new")
    assert files(tmp_path) == {
        "new/litert-fp32-metrics.md",
        "new/litert-fp32-confusion-matrix.png",
    }


def test_images_of_an_earlier_report_do_not_stay(results, tmp_path):
    write_report(results, tmp_path)
    gone = replace(results.experiments[0], status="failed", quality=None, timing=None)
    bare = replace(gone, model_bytes=None)
    write_report(replace(results, experiments=[bare]), tmp_path)
    assert "litert-fp32-confusion-matrix.png" not in files(tmp_path)
    assert not any(name.startswith("img/") for name in files(tmp_path))


def test_the_same_results_are_the_same_report_also_after_storing(results, tmp_path):
    write_report(results, tmp_path / "a")
    save(results, tmp_path / "results.json")
    write_report(load(tmp_path / "results.json"), tmp_path / "b")
    for name in EXPECTED:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_summary_has_all_its_images_in_one_folder(results, tmp_path):
    assert write_summary(content(results), tmp_path) == tmp_path / "README.md"
    assert files(tmp_path) == {
        "README.md",
        *("img/latency.png", "img/accuracy-vs-latency.png", "img/sizes.png"),
        *("img/confusion-litert-fp32.png", "img/confusion-tvm-fp32-nhwc.png"),
    }
    page = (tmp_path / "README.md").read_text("utf-8")
    links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", page)
    assert len(links) == 3 + 1 + 2  # plots, the shared matrix, each experiment
    assert all((tmp_path / link).is_file() for link in links)


def test_a_run_without_experiments_or_facts_is_reported(results, tmp_path):
    empty = replace(results, experiments=[], machine={}, versions={})
    page = write_report(empty, tmp_path)[0].read_text("utf-8")
    assert files(tmp_path) == {"report.md", "report.html"}
    assert page.startswith("# 0 experiments on")
    assert "nothing recorded" in page


def test_a_directory_that_cannot_be_written_is_said(results, tmp_path):
    (tmp_path / "file").touch()
    for experiments in ([], results.experiments, [experiment("x", quality=None, timing=None)]):
        with pytest.raises(ResultsError, match="cannot be") as caught:
            write_report(replace(results, experiments=experiments), tmp_path / "file")
        assert "\n" not in str(caught.value)


BLIND = """
import sys
sys.modules["tvm"] = sys.modules["ai_edge_litert"] = None
from assay.cli.main import main
try:
    main(["report", sys.argv[1], "-o", sys.argv[2]])
finally:
    rooms = ("assay.compiler.", "assay.runtimes.", "assay.model.reader", "assay.datasets.")
    print([m for m in sys.modules if m.startswith(rooms) and m != "assay.compiler.config"])
"""


def test_rendering_needs_neither_compiler_nor_runtime(results, tmp_path):
    save(results, tmp_path / "results.json")
    command = [sys.executable, "-c", BLIND, tmp_path / "results.json", tmp_path / "out"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout.splitlines()[-1] == "[]", found.stderr
    assert files(tmp_path / "out") == EXPECTED

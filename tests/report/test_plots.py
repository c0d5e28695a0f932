import math
import subprocess
import sys
import warnings
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from assay.errors import ResultsError
from assay.lab.results import Quality
from assay.report import confusion, plots
from assay.report.figure import figure, looks, shorten
from tests.report.conftest import CLASSES, experiment, quality, timing

DRAWINGS = [plots.latency_png, plots.accuracy_vs_latency_png, plots.sizes_png]


def of_matrix(matrix):
    return Quality(0, 0.0, None, 0.0, 0.0, 0.0, np.asarray(matrix).tolist(), [])


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def drawn(monkeypatch):
    """Keep the real figures, to look at their parts after they were written."""
    kept = []

    @contextmanager
    def keeping(path, width, height):
        with figure(path, width, height) as drawing:
            yield drawing
        kept.append(drawing)

    monkeypatch.setattr(confusion, "figure", keeping)
    monkeypatch.setattr(plots, "figure", keeping)
    return kept


def is_cut_off(path):
    """Tell whether anything touches the edge of an image."""
    image = pixels(path)
    edges = (image[:2], image[-2:], image[:, :2], image[:, -2:])
    return any((edge != 255).any() for edge in edges)


@pytest.mark.parametrize("classes", [2, 37, 1001])
def test_the_matrix_of_a_perfect_model_is_its_diagonal(tmp_path, classes):
    path = tmp_path / "perfect.png"
    plots.confusion_matrix_png(of_matrix(np.eye(classes) * 1), [], path)
    image = pixels(path)
    assert max(image.shape) < 2500
    darkest = np.rint(255 * np.array(mpl.colormaps["Blues"](1.0)[:3]))
    lightest = np.rint(255 * np.array(mpl.colormaps["Blues"](0.0)[:3]))
    dark = np.argwhere((image == darkest).all(axis=2))
    light = np.argwhere((image == lightest).all(axis=2))
    cells = light[light[:, 1] < 0.8 * image.shape[1]]
    dark = dark[dark[:, 1] < 0.8 * image.shape[1]]
    assert len(dark) > 0
    # Rows go down as columns go right.
    assert np.corrcoef(dark[:, 0], dark[:, 1])[0, 1] > 0.7
    if classes > 2:
        assert len(cells) > len(dark)


def test_rows_without_samples_are_grey(tmp_path):
    path = tmp_path / "grey.png"
    plots.confusion_matrix_png(of_matrix([[4, 0], [0, 0]]), ["a", "b"], path)
    grey = (pixels(path) == round(0.88 * 255)).all(axis=2)
    plots.confusion_matrix_png(of_matrix([[4, 0], [0, 1]]), ["a", "b"], path)
    assert grey.sum() > 10_000
    assert (pixels(path) == round(0.88 * 255)).all(axis=2).sum() < 100


@pytest.mark.parametrize("classes", [2, 10, 12, 13, 37, 60])
def test_class_names_do_not_touch(tmp_path, drawn, classes):
    names = [f"rather_long_name_of_class_number_{i}" for i in range(classes)]
    matrix = np.eye(classes, dtype=int) * 888
    plots.confusion_matrix_png(of_matrix(matrix), names, tmp_path / "m.png", title="A title")
    assert not is_cut_off(tmp_path / "m.png")
    axes = drawn[0].axes[0]
    rows = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(rows))
    columns = axes.get_xticklabels()
    assert [label.get_text() for label in columns] == [shorten(name, 28) for name in names]
    if columns[0].get_rotation() == 90:
        boxes = [label.get_window_extent() for label in columns]
        assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))
    # Counts stay inside their cell.
    cell = axes.transData.transform([(0, 0), (1, 1)])
    side = abs(cell[1] - cell[0])
    assert axes.texts
    for count in axes.texts:
        box = count.get_window_extent()
        assert box.width <= side[0]
        assert box.height <= side[1] * 1.05


def test_above_60_classes_axes_count_indices(tmp_path, drawn):
    names = [f"class {i}" for i in range(61)]
    plots.confusion_matrix_png(of_matrix(np.eye(61, dtype=int)), names, tmp_path / "m.png")
    axes = drawn[0].axes[0]
    assert not axes.texts
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert not any("class" in text for text in shown)
    assert "index" in axes.get_xlabel()


def test_counts_too_wide_for_their_cell_are_left_out(tmp_path, drawn):
    plots.confusion_matrix_png(
        of_matrix(np.eye(40, dtype=int) * 10**8), [str(i) for i in range(40)], tmp_path / "m.png"
    )
    assert not drawn[0].axes[0].texts


def test_classes_without_a_name_show_their_index(tmp_path, drawn):
    plots.confusion_matrix_png(of_matrix(np.eye(3, dtype=int)), ["only"], tmp_path / "m.png")
    shown = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert shown == ["only", "1", "2"]


def test_names_are_neither_formulas_nor_warnings(tmp_path):
    names = ["$\\frac{", "犬", "tab\there"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.confusion_matrix_png(of_matrix(np.eye(3, dtype=int)), names, tmp_path / "m.png")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_same_results_are_the_same_bytes(results, tmp_path, draw):
    assert draw(results, tmp_path / "a.png")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 10}):
        draw(results, tmp_path / "b.png")
        assert mpl.rcParams["font.size"] == 30
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_same_matrix_is_the_same_bytes_without_any_metadata(tmp_path):
    for name in ("a.png", "b.png"):
        plots.confusion_matrix_png(quality(), CLASSES, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert set(image.info) <= {"dpi"}


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("count", [1, 25])
def test_nothing_is_cut_off(results, tmp_path, draw, count):
    many = [
        experiment(
            f"experiment-number-{i}-with-a-name-that-goes-on-and-on",
            f"runtime{i % 9}",
            10.0 + i,
            artifact_bytes=i * 10**6,
        )
        for i in range(count)
    ]
    assert draw(replace(results, experiments=many), tmp_path / "p.png")
    assert not is_cut_off(tmp_path / "p.png")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_nothing_to_draw_is_no_file(results, tmp_path, draw):
    for experiments in ([], results.experiments[2:]):
        assert not draw(replace(results, experiments=experiments), tmp_path / "p.png")
    assert list(tmp_path.iterdir()) == []


def test_latencies_that_are_not_finite_are_left_out(results, tmp_path, drawn):
    broken = replace(timing(5.0), median_ms=math.nan)
    experiments = [
        experiment("whole"),
        replace(experiment("broken"), timing=broken),
        replace(experiment("unscored"), quality=quality(math.nan)),
    ]
    assert plots.latency_png(replace(results, experiments=experiments), tmp_path / "l.png")
    rows = [label.get_text() for label in drawn[0].axes[0].get_yticklabels()]
    assert rows == ["whole", "unscored"]
    assert plots.accuracy_vs_latency_png(
        replace(results, experiments=experiments), tmp_path / "a.png"
    )
    assert [note.get_text() for note in drawn[1].axes[0].texts] == ["1"]


def test_latencies_far_apart_get_a_logarithmic_axis(results, tmp_path, drawn):
    near = [experiment("a", median=10.0), experiment("b", median=40.0)]
    far = [*near, experiment("c", median=400.0)]
    zero = [*far, experiment("d", median=0.0)]
    for experiments in (near, far, zero):
        plots.latency_png(replace(results, experiments=experiments), tmp_path / "l.png")
    assert [d.axes[0].get_xscale() for d in drawn] == ["linear", "log", "linear"]
    assert drawn[0].axes[0].get_xlim()[0] == 0


def test_bars_are_as_long_as_the_sizes(results, tmp_path, drawn):
    plots.sizes_png(results, tmp_path / "s.png")
    assert [bar.get_width() for bar in drawn[0].axes[0].patches] == [3.0, 3.0, 4.0]


def test_the_pareto_front_is_what_nothing_beats():
    rng = np.random.default_rng(0)
    points = [tuple(point) for point in rng.integers(0, 12, (60, 2)).tolist()]

    def beaten(point):
        return any(
            other != point and other[0] <= point[0] and other[1] >= point[1] for other in points
        )

    assert plots.pareto(points) == sorted({point for point in points if not beaten(point)})
    assert plots.pareto([(3, 50)]) == [(3, 50)]


def test_runtimes_keep_a_look_of_their_own():
    by_runtime = looks(["tvm", "litert", "tvm", "stock"])
    assert list(by_runtime) == ["tvm", "litert", "stock"]
    assert len({look.colour for look in by_runtime.values()}) == 3
    assert len({look.marker for look in by_runtime.values()}) == 3
    assert len(set(looks(map(str, range(56))).values())) == 56


def test_long_names_are_cut_in_the_middle():
    assert shorten("short", 5) == "short"
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert shorten("abcdefghij", 6) == "ab…hij"
    assert shorten("two\nlines", 20) == "two lines"


def test_a_path_that_cannot_be_written_is_said(results, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="cannot be written"):
        plots.latency_png(results, tmp_path / "file" / "l.png")


def test_importing_the_report_loads_nothing_heavy_and_drawing_no_pyplot(tmp_path):
    script = f"""
import sys
import assay.report.summary, assay.report.table, assay.lab.store, assay.quality.metrics
heavy = {{"matplotlib", "jinja2", "numpy", "sklearn", "scipy", "rich"}} & set(sys.modules)
assert not heavy, heavy
from assay.report.figure import figure
with figure({str(tmp_path / "f.png")!r}, 2, 2) as drawing:
    drawing.subplots()
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)

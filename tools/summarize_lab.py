"""Write the short summary of a lab run that the repository keeps: summaries/l04_tvm/.

    python tools/summarize_lab.py RESULTS_DIR

Everything in it comes from results.json and the logs of the run; nothing is typed by hand.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from assay.lab.results import Results
from assay.lab.store import load, write_text
from assay.report.plots import accuracy_vs_latency_png, latency_png, sizes_png
from assay.report.table import comparison_markdown

SUMMARY = Path(__file__).resolve().parents[1] / "summaries" / "l04_tvm"
PLOTS = (
    ("Latency", "img/latency.png", latency_png),
    ("Accuracy over latency", "img/accuracy-vs-latency.png", accuracy_vs_latency_png),
    ("Sizes", "img/sizes.png", sizes_png),
)
# The builds whose logs the lab asks about: plain NHWC, INT8 before and after the fix.
LOGS = ("tvm-stock-fp32-nhwc", "tvm-fp32-nhwc", "tvm-int8", "tvm-int8-fixed")


def unique_lines(log: Path) -> list[str]:
    """Return the log's findings with how often each occurs, in order of first appearance."""
    lines = log.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.startswith(("[schedule]", "[layout]", "[precision]"))]
    return [f"{count:4} x {line}" for line, count in Counter(kept).items()]


def page(results: Results, folder: Path) -> str:
    machine = results.machine
    parts = [
        "# TVM lab: MobileNetV2 on Oxford-IIIT Pet",
        f"{results.dataset['samples']} test images, {results.threads} thread(s), "
        f"{machine['cpu']}, {machine['os']}, Python {machine['python']}; begun {results.created} "
        f"at a load average of {machine['load_average'][0]:.1f} on {machine['usable_cores']} cores "
        "(above zero, other work shared them, and latencies are longer and spread wider for it).",
        "Versions: " + ", ".join(f"{name} {v}" for name, v in results.versions.items()) + ".",
        comparison_markdown(results).strip(),
        *(f"![{caption}]({image})" for caption, image, _ in PLOTS),
        "## Unique lines of the build logs",
    ]
    for name in LOGS:
        lines = unique_lines(folder / f"{name}.log") or ["(none: every operator has its kernel)"]
        parts.append(f"### {name}\n\n```text\n" + "\n".join(lines) + "\n```")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    folder = Path(sys.argv[1])
    results = load(folder / "results.json")
    for _, image, draw in PLOTS:
        draw(results, SUMMARY / image)
    write_text(SUMMARY / "README.md", page(results, folder))


if __name__ == "__main__":
    main()

"""assay's builds against LiteRT and OpenVINO on a folder of models.

    python -m benchmarks.peers                          # takes about a minute a model
    python -m benchmarks.peers --from-json peers.json   # only writes the page again

Models come from the folder in ASSAY_SHARED, or ``../shared`` beside the repository: those that are
absent are skipped. What is found goes to a JSON file after each model, and from there to
docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from assay.cli.progress import counting
from assay.compiler.config import Config
from assay.errors import AssayError
from assay.lab.store import write_text
from assay.timing.cores import choose_cores, parse_cores
from assay.timing.plan import Choices, plan
from assay.timing.record import Contender, Settings
from assay.timing.session import run_bench
from assay.timing.store import encode
from benchmarks.performance import by_threads, failures, nchw_rows, page, rows

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("ASSAY_SHARED", ROOT.parent / "shared"))
PAGE = ROOT / "docs" / "performance.md"

PEERS = ("litert", "openvino")
OPT_LEVELS = (3, 4)
LAYOUTS = ("nhwc", "nchw")

MODELS = (
    "pets/models/pet-dataset-tensorflow.fp32.tflite",
    "pets/models/pet-dataset-tensorflow.int8-0.8.tflite",
    "zoo/ad01_fp32.tflite",
    "zoo/ad01_int8.tflite",
    "zoo/deeplabv3_mnv2_pascal_quant.tflite",
    "zoo/efficientnet_b0.fp32.tflite",
    "zoo/efficientnet_b0.int8.tflite",
    "zoo/kws_ref_model_float32.tflite",
    "zoo/kws_ref_model.tflite",
    "zoo/mobilenet_v1_0.5_160_quant.tflite",
    "zoo/mobilenet_v2_1.0_224_quant.tflite",
    "zoo/mobilenet_v3_small.fp32.tflite",
    "zoo/mobilenet_v3_small.int8.tflite",
    "zoo/pretrainedResnet.tflite",
    "zoo/pretrainedResnet_quant.tflite",
    "zoo/resnet50_half.fp32.tflite",
    "zoo/resnet50_half.int8.tflite",
    "zoo/str_ww_ref_model.tflite",
    "zoo/vww_96_float.tflite",
    "zoo/vww_96_int8.tflite",
)


def measure(model: Path, settings: Settings, layouts: Sequence[str] = LAYOUTS) -> dict[str, Any]:
    """Time all contenders on one model; return the comparison as plain data."""
    contenders = plan([model], Choices(against=PEERS, opt_levels=OPT_LEVELS))
    builds, peers = contenders[: len(OPT_LEVELS)], contenders[len(OPT_LEVELS) :]
    if "nchw" in layouts:
        builds += tuple(_in_nchw(build) for build in builds)
    # Each is compared with those before it: peers with builds.
    contenders = (*builds, *peers)
    with counting(f"{model.stem}, {settings.threads} thread(s)") as progress:
        bench = run_bench(contenders, settings, progress, "python -m benchmarks.peers")
    plain: dict[str, Any] = json.loads(encode(asdict(bench)))
    return plain


def _in_nchw(build: Contender) -> Contender:
    config = replace(build.config or Config(), layout="nchw")
    return replace(build, label=f"{build.label} NCHW", config=config)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Time every model that is there, and write what is known to the JSON file after each."""
    found: dict[str, Any] = {"benches": [], "failures": []}
    for name in options.models or MODELS:
        model = options.shared / name
        if not model.is_file():
            found["failures"].append({"model": name, "reason": "the file is not there"})
            continue
        for threads in options.threads:
            cores = parse_cores(options.cores) if options.cores else choose_cores(threads)
            settings = Settings(threads, options.launches, options.rounds, options.min_time, cores)
            try:
                found["benches"].append(measure(model, settings, options.layouts))
            except AssayError as error:
                found["failures"].append({"model": model.stem, "reason": str(error)})
            write_text(options.json, encode(found) + "\n")
    write_text(options.json, encode(found) + "\n")
    return found


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options, checked."""
    defaults = Settings()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of the models")
    parser.add_argument("--models", nargs="+", metavar="FILE", help="only these, below --shared")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS)
    parser.add_argument("--launches", type=int, default=defaults.launches)
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument("--min-time", type=float, default=defaults.min_time_s)
    parser.add_argument("--cores", help="such as 0,1; default: one a thread")
    parser.add_argument("--json", type=Path, default=Path("peers.json"), help="what is found")
    parser.add_argument("--from-json", type=Path, help="time nothing, take what --json left")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure or read, print the tables and write the page."""
    options = parse(sys.argv[1:])
    try:
        found = json.loads(options.from_json.read_text()) if options.from_json else run(options)
        write_text(options.page, page(found))
    except AssayError as error:
        sys.exit(f"peers: {error}")
    for threads, benches in by_threads(found).items():
        print(f"{threads} thread(s)")
        for row in (*rows(benches), *nchw_rows(benches)):
            print("  ".join(cell.ljust(18) for cell in row).rstrip())
    for line in failures(found):
        print(f"not timed: {line}")
    print(f"{options.page} written")


if __name__ == "__main__":
    main()

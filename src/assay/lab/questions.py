"""The lab's six questions, each answered from the results: one function a question."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from assay.lab.plan import AVX2, OWN_TARGETS
from assay.lab.results import ExperimentResult
from assay.lab.sentences import accuracy_sentence, ratio_words, size_sentence, speed_sentence
from assay.lab.versus import REFERENCE, Evidence, Pair

_ISAS = ("", *OWN_TARGETS)
_ENDED = {"failed": "failed", "skipped": "was skipped"}
_NOT_RUN = "The experiments that this question is about were not run."

# Remarks on operators that no register-tiled kernel was bound to.
_NO_KERNEL = ("layout/nhwc-unscheduled", "schedule/none", "schedule/untiled")


@dataclass(frozen=True)
class Answer:
    """A question, the sentences that answer it, and the comparisons that they are drawn from."""

    question: str
    sentences: tuple[str, ...]
    pairs: tuple[Pair, ...]


def answers(evidence: Evidence) -> tuple[Answer, ...]:
    """Answer all questions, in the lab's order."""
    return tuple(ask(evidence) for ask in QUESTIONS)


def fp32_against_nhwc(evidence: Evidence) -> Answer:
    """Compare the FP32 file in LiteRT with the builds in NHWC."""
    return _answer(
        "How does the TFLite FP32 model compare to the NHWC-compiled TVM model?",
        _pairs(evidence, [(f"tvm-fp32-nhwc{isa}", REFERENCE) for isa in _ISAS]),
    )


def fp32_against_fastest_nchw(evidence: Evidence) -> Answer:
    """Compare the FP32 file in LiteRT with the fastest of all builds of it in NCHW."""
    question = "How does the TFLite FP32 model compare to the fastest NCHW-compiled TVM model?"
    timed = [
        e.name
        for e in evidence.finished
        if e.precision == "fp32" and (e.config or {}).get("layout") == "nchw"
        if e.name in evidence.latencies
    ]
    if not timed:
        return _answer(question, ())
    fastest = min(timed, key=lambda name: evidence.latencies[name].ms)
    found = _answer(question, _pairs(evidence, [(fastest, REFERENCE)]))
    first = f"The fastest of {len(timed)} NCHW builds is {fastest}."
    return Answer(question, (first, *found.sentences), found.pairs)


def nhwc_to_nchw(evidence: Evidence) -> Answer:
    """Compare builds in NCHW with those in NHWC, at opt level 3, in FP32 and in INT8."""
    layouts = (("tvm-fp32-opt3", "tvm-fp32-nhwc"), ("tvm-int8-fixed", "tvm-int8-nhwc"))
    wanted = [(f"{new}{isa}", f"{old}{isa}") for isa in _ISAS for new, old in layouts]
    return _answer(
        "How did switching from NHWC to NCHW, in FP32 and in INT8, change speed (opt level 3)?",
        _pairs(evidence, wanted),
    )


def int8_before_and_after(evidence: Evidence) -> Answer:
    """Compare the INT8 file in LiteRT with builds of it, before and after the layout fix."""
    wanted = [
        pair
        for isa in _ISAS
        for pair in (
            (f"tvm-int8{isa}", "tflite-int8"),
            (f"tvm-int8-fixed{isa}", "tflite-int8"),
            (f"tvm-int8-fixed{isa}", f"tvm-int8{isa}"),
            (f"tvm-int8-nhwc{isa}", "tflite-int8"),
        )
    ]
    return _answer(
        "How does the TFLite INT8 model compare to the INT8 TVM model, before and after fixing "
        "the layout conversion?",
        _pairs(evidence, wanted),
    )


def opt_levels(evidence: Evidence) -> Answer:
    """Compare each opt level with the one below, and name levels that build the same library."""
    levels = [(f"tvm-fp32-opt{level}", f"tvm-fp32-opt{level - 1}") for level in (2, 3, 4)]
    wanted = [(new + isa, old + isa) for isa in _ISAS for new, old in levels]
    question = "How do opt levels 1, 2, 3 and 4 compare, in speed and in quality?"
    pairs = _pairs(evidence, wanted)
    found = _answer(question, pairs)
    ranks = [_ranked(evidence, [f"tvm-fp32-opt{n}{isa}" for n in (1, 2, 3, 4)]) for isa in _ISAS]
    alike = [pair for pair in pairs if pair.identical]
    apart = () if alike or not pairs else ("No two of these libraries are identical.",)
    return Answer(question, (*filter(None, ranks), *found.sentences, *apart), pairs)


def _ranked(evidence: Evidence, names: Iterable[str]) -> str:
    """Return the experiments from fastest to slowest with their latencies; '' for fewer than 2."""
    timed = [name for name in names if name in evidence.latencies]
    timed.sort(key=lambda name: evidence.latencies[name].ms)
    if len(timed) < 2:
        return ""
    listed = ", ".join(f"{name} ({evidence.latencies[name].ms:.3f} ms)" for name in timed)
    return f"Fastest first: {listed}."


def avx2(evidence: Evidence) -> Answer:
    """Compare each build for AVX2 with its twin; where nothing is gained, name CPU and reason."""
    question = "How did AVX2 change each compiled model?"
    twins = [e for e in evidence.results.experiments if e.name.endswith(AVX2)]
    pairs = _pairs(evidence, [(e.name, e.name.removesuffix(AVX2)) for e in twins])
    if not twins:
        return _answer(question, ())
    cpu = evidence.results.machine.get("cpu", "not known")
    sentences = []
    for pair in pairs:
        sentences.append(_compared(pair))
        if pair.speed is not None and pair.speed.verdict != "faster":
            sentences.append(f"No gain on this CPU, {cpu}: {_why_no_gain(pair)}.")
    sentences += [
        f"{e.name} {_ENDED[e.status]} on this CPU, {cpu}: {e.reason or 'no reason recorded'}."
        for e in twins
        if e.status != "done"
    ]
    return Answer(question, tuple(sentences) or (_NOT_RUN,), pairs)


QUESTIONS: tuple[Callable[[Evidence], Answer], ...] = (
    fp32_against_nhwc,
    fp32_against_fastest_nchw,
    nhwc_to_nchw,
    int8_before_and_after,
    opt_levels,
    avx2,
)


def _pairs(evidence: Evidence, wanted: Iterable[tuple[str, str]]) -> tuple[Pair, ...]:
    return tuple(filter(None, (evidence.pair(*names) for names in wanted)))


def _answer(question: str, pairs: tuple[Pair, ...]) -> Answer:
    return Answer(question, tuple(map(_compared, pairs)) or (_NOT_RUN,), pairs)


def _compared(pair: Pair) -> str:
    if pair.identical:
        ratio = f" {ratio_words(pair.speed)}" if pair.speed else ""
        return (
            f"{pair.subject.name} and {pair.reference.name} are the same library, byte by byte: "
            f"identical IR and code, so any difference in time is noise{ratio}."
        )
    sentences = speed_sentence(pair.speed), accuracy_sentence(pair), size_sentence(pair)
    return " ".join(sentences)


def _why_no_gain(pair: Pair) -> str:
    """Return what results tell about it: same code, same target, or operators without kernels."""
    if pair.identical:
        return "both libraries are the same"
    if pair.subject.resolved_target == pair.reference.resolved_target:
        return "both are built for the same target"
    slow = [r for r in pair.subject.remarks or [] if r["id"] in _NO_KERNEL]
    if not slow:
        return "its build log names nothing that would hold it back"
    return (
        f"{len(slow)} operators of {pair.subject.name} have no register-tiled kernel (build log)"
        f"{_share(pair.subject, slow)}"
    )


def _share(experiment: ExperimentResult, remarks: Iterable[dict[str, Any]]) -> str:
    """Say how much of a profiled inference remarks are about; '' if it was not profiled."""
    times = experiment.layer_times
    if times is None:
        return ""
    calls = {call for remark in remarks for call in remark["calls"]}
    spent = sum(times.kernels[call].median_ms for call in calls)
    return (
        f", and their loops, which gain little from wider vectors, take {spent:.1f} of "
        f"{times.total_ms:.1f} ms"
    )

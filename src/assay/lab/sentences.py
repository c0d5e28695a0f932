"""What a comparison says, as a sentence with ratio, interval and verdict."""

from __future__ import annotations

from assay.lab.versus import Pair
from assay.quality.intervals import Versus
from assay.timing.compare import Comparison


def pair_sentences(pair: Pair) -> tuple[str, ...]:
    """Return what a comparison says of speed, accuracy, size and identity."""
    same = ("Both are the same library, byte by byte.",) if pair.identical else ()
    return (speed_sentence(pair.speed), accuracy_sentence(pair), size_sentence(pair), *same)


def speed_sentence(speed: Comparison | None) -> str:
    """Say who is faster, and by how much; that nothing could be measured where that is so."""
    if speed is None:
        return "There are no times to compare."
    subject, reference = speed.subject, speed.reference
    ratio = ratio_words(speed)
    if speed.verdict == "faster":
        return f"{subject} is {1 / speed.ratio:.2f} times as fast as {reference} {ratio}."
    if speed.verdict == "slower":
        return f"{subject} takes {speed.ratio:.2f} times as long as {reference} {ratio}."
    return f"No measurable difference in speed between {subject} and {reference} {ratio}."


def ratio_words(speed: Comparison) -> str:
    """Return ratio and interval in brackets."""
    return f"(time ratio {speed.ratio:.3f}, 95 % interval {speed.low:.3f} to {speed.high:.3f})"


def accuracy_sentence(pair: Pair) -> str:
    """Say who is more accurate, or that no difference could be measured."""
    found = pair.accuracy
    if found is None:
        return "There are no predictions to compare."
    if not found.unlike:
        return f"Both predict the same class for all {found.samples} samples."
    numbers = (
        f"{points(found)}; right alone: {found.only_first} against {found.only_second} samples, "
        f"McNemar p = {p_value(found)}"
    )
    if not found.measurable:
        return f"No measurable difference in accuracy ({numbers})."
    how = "more" if found.difference > 0 else "less"
    return f"{pair.subject.name} is {how} accurate than {pair.reference.name} ({numbers})."


def size_sentence(pair: Pair) -> str:
    """Say how the sizes of what is loaded compare."""
    if pair.size_ratio is None:
        return "There are no sizes to compare."
    return f"Its file has {pair.size_ratio:.2f} times the size of that of {pair.reference.name}."


def points(found: Versus) -> str:
    """Return the difference of accuracies in percentage points with its interval."""
    return (
        f"{100 * found.difference:+.2f} points, 95 % interval {100 * found.low:+.2f} to "
        f"{100 * found.high:+.2f}"
    )


def p_value(found: Versus) -> str:
    """Return the p-value with three decimals, very small ones as a bound."""
    return "< 0.001" if found.p_value < 0.001 else f"{found.p_value:.3f}"

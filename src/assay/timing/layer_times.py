"""The layers of a stored profile: which one each kernel's time belongs to."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from assay.errors import InputError
from assay.model.facts import Model
from assay.timing.profile import Profile


def layer_times(path: Path, model: Model) -> dict[str, float]:
    """Return milliseconds by layer from what ``assay profile --json`` wrote about a model.

    A kernel's time goes to that one of its layers with the most multiply-accumulates, the last one
    of equals: the others are done on the way. One that only converts counts for the first layer
    that it serves. InputError if the file holds no profile, or one of another model.
    """
    try:
        profile = Profile.from_dict(json.loads(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {_ADVICE}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no profile; {_ADVICE}") from error
    times: dict[str, float] = defaultdict(float)
    for kernel in profile.kernels:
        done, served = kernel.call.layers, kernel.call.serves
        if done:
            times[max(done, key=lambda layer: (layer.macs, layer.operator)).name] += (
                kernel.median_ms
            )
        elif served:
            times[served[0].name] += kernel.median_ms
    if not times.keys() & {operator.layer for operator in model.operators}:
        raise InputError(f"{path} is about {profile.model}, another model; {_ADVICE}")
    return dict(times)


_ADVICE = "make one with assay profile MODEL --json FILE"

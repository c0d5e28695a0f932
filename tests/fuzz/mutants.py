"""Damaged copies of a model file, by number: the same number always gives the same copy."""

from __future__ import annotations

import random
import struct

import numpy as np
import tflite

TELLING = (0, 1, 2, 4, 127, 128, 255)
WORDS = (0, 1, 2, 3, -1, 16, 255, 256, 4096, 1 << 16, 1 << 24, 1 << 30, (1 << 31) - 1, -(1 << 31))


class Mutator:
    """Damages one model, mostly where it is structure: offsets, shapes, options, names.

    Weights are most of a file and any value of theirs is as good as another, so that damage spread
    evenly would seldom tell anything.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        weights = np.zeros(len(data), bool)
        model = tflite.Model.GetRootAs(data, 0)
        whole = np.frombuffer(data, np.uint8)
        for index in range(model.BuffersLength()):
            values = model.Buffers(index).DataAsNumpy()
            if isinstance(values, np.ndarray) and len(values) > 64:
                start = values.ctypes.data - whole.ctypes.data
                weights[start : start + len(values)] = True
        self._structure = np.flatnonzero(~weights)

    def mutant(self, number: int) -> bytes:
        """Return the copy of a number."""
        rng = random.Random(number * 2_654_435_761 + len(self._data))
        copy = bytearray(self._data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            self._damage(rng, copy)
        return bytes(copy)

    def _damage(self, rng: random.Random, copy: bytearray) -> None:
        if not copy:
            return
        kind = rng.choice(("flip", "byte", "word", "word", "shift", "splice", "remove", "cut"))
        at = min(self._place(rng), len(copy) - 1)
        if kind == "flip":
            copy[at] ^= 1 << rng.randrange(8)
        elif kind == "byte":
            copy[at] = rng.choice(TELLING)
        elif kind in ("word", "shift"):
            at -= at % 4
            if at + 4 <= len(copy):
                (before,) = struct.unpack_from("<i", copy, at)
                word = rng.choice(WORDS) if kind == "word" else before + rng.choice((-4, -1, 1, 4))
                struct.pack_into("<I", copy, at, word & 0xFFFFFFFF)
        elif kind == "splice":
            length, other = rng.choice((4, 8, 32, 256)), self._place(rng)
            copy[at : at + length] = self._data[other : other + length]
        elif kind == "remove":
            del copy[at : at + rng.choice((1, 4, 16))]
        elif rng.random() < 0.3:
            del copy[at:]

    def _place(self, rng: random.Random) -> int:
        if rng.random() < 0.1:
            return rng.randrange(len(self._data))
        return int(self._structure[rng.randrange(len(self._structure))])

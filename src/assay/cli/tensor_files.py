"""Which file is for which tensor: ``FILE``, ``NAME=FILE`` or ``INDEX=FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import InputError
from assay.model.names import Names
from assay.model.source import shown

if TYPE_CHECKING:
    from assay.model.spec import TensorSpec


@dataclass(frozen=True)
class Side:
    """The inputs or the outputs of a model; ``option`` is the one that gives their files.

    With ``signature`` the names that it gives count, not those of others.
    """

    option: str
    model: Path
    specs: tuple[TensorSpec, ...]
    signature: str | None = None

    def all_files(self, given: Sequence[str]) -> dict[int, Path]:
        """Return the file of each tensor by its index; InputError unless each has one."""
        named, rest = self._split(given)
        free = [index for index in range(len(self.specs)) if index not in named]
        if len(rest) != len(free):
            raise InputError(
                f"{self.model} needs {len(self.specs)} {self.option} file(s), but {len(given)} are "
                f"given: give one for each of {', '.join(map(str, self.specs))}"
            )
        return named | dict(zip(free, map(Path, rest), strict=True))

    def some_files(self, given: Sequence[str]) -> dict[int, Path]:
        """Return the same, only of the tensors that are named if all files have a name.

        InputError for two tensors in one file.
        """
        named, rest = self._split(given)
        files = self.all_files(given) if rest else named
        if len(set(files.values())) < len(files):
            raise InputError(
                f"{self.option} names {', '.join(map(str, files.values()))}; give each tensor a "
                "file of its own"
            )
        return files

    def _split(self, given: Sequence[str]) -> tuple[dict[int, Path], list[str]]:
        """Return files by index, and those that name no tensor, in order."""
        self._names().check(self.signature)
        named: dict[int, Path] = {}
        rest: list[str] = []
        for text in given:
            found = self._named(text)
            if found is None:
                rest.append(text)
                continue
            index, file = found
            if index in named:
                raise InputError(
                    f"{self.option} {text}: {self.specs[index].name!r} has {named[index]} already; "
                    "give each tensor one file"
                )
            named[index] = file
        return named, rest

    def _names(self, said: str = "") -> Names:
        kind, specs = self.option.removeprefix("--"), dict(enumerate(self.specs))
        return Names(shown(self.model), kind, specs, said=said)

    def _named(self, text: str) -> tuple[int, Path] | None:
        """Return tensor and file; None if it is a file for the next tensor in order.

        InputError if what is before a ``=`` is neither a tensor nor part of a path.
        """
        cuts = [at for at, letter in enumerate(text) if letter == "="]
        names = self._names(f"{self.option} {text}: ")
        for cut in reversed(cuts):  # the longest name first, as it may hold a =
            key = text[:cut]
            if names.matches(key, self.signature):
                return names.find(key, self.signature), Path(text[cut + 1 :])
        if not cuts or "/" in text[: cuts[0]] or Path(text).exists():
            return None
        key = text[: cuts[0]]
        known = ", ".join(names.known(self.signature))
        raise InputError(
            f"{self.option} {text}: {self.model} has no {key!r} there, only {known}; "
            f"give NAME=FILE or INDEX=FILE, or ./{text} for a file of that name"
        )

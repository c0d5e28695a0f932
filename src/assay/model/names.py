"""Which tensor a caller means: by its name, by an argument name of a signature, or by index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from assay.errors import AssayError, InputError
from assay.model.spec import TensorSpec

_LISTED = 8  # names that an error lists
_DIGITS = 10  # that no index has


@dataclass(frozen=True)
class Names:
    """Tensors by index, one of which a caller names.

    ``owner`` is the file that holds them, ``kind`` what they are (``input``, ``output`` or
    ``tensor``). Errors are of class ``error`` and begin with ``said``, the option as it was given.
    Numbers are indices only if ``numbered``.
    """

    owner: str
    kind: str
    specs: Mapping[int, TensorSpec]
    error: type[AssayError] = InputError
    said: str = ""
    numbered: bool = True

    def matches(self, key: str, signature: str | None = None) -> tuple[int, ...]:
        """Return all tensors that ``key`` may stand for.

        Without ``signature`` these are the tensors of that name and those that any signature calls
        so; with it, the argument of that signature, else the tensors of that name. A number that
        is no name is an index.
        """
        arguments = {
            index
            for index, spec in self.specs.items()
            for each in spec.arguments
            if each.name == key and signature in (None, each.signature)
        }
        named = {index for index, spec in self.specs.items() if spec.name == key}
        found = arguments if arguments and signature is not None else arguments | named
        number = self.numbered and key.isascii() and key.isdecimal() and len(key) < _DIGITS
        if number and not found and int(key) in self.specs:
            return (int(key),)
        return tuple(sorted(found))

    def find(self, key: str, signature: str | None = None) -> int:
        """Return the one tensor that ``key`` stands for.

        ``error`` if there is none, if there are several, or if no tensor here has a name in
        ``signature``.
        """
        self.check(signature)
        found = self.matches(key, signature)
        if len(found) == 1:
            return found[0]
        raise self._ambiguous(key, found) if found else self._unknown(key, self.known(signature))

    def known(self, signature: str | None = None) -> list[str]:
        """Return all names that stand for a tensor, each once."""
        names: dict[str, None] = {}
        for spec in self.specs.values():
            names[spec.name] = None
            names |= {a.name: None for a in spec.arguments if signature in (None, a.signature)}
        return list(names)

    def check(self, signature: str | None) -> None:
        """Raise ``error`` if no tensor here has a name in ``signature``; None is always right."""
        known = sorted({each.signature for s in self.specs.values() for each in s.arguments})
        if signature is None or signature in known:
            return
        hint = f"give one of {', '.join(map(repr, known))}" if known else "give none"
        raise self.error(
            f"{self.said}{self.owner} has no signature {signature!r} that names its {self.kind}s; "
            f"{hint}"
        )

    def _ambiguous(self, key: str, found: tuple[int, ...]) -> AssayError:
        candidates = []
        several = set()
        for index in found:
            spec = self.specs[index]
            called = sorted({each.signature for each in spec.arguments if each.name == key})
            several.update(called)
            by = f" in signature {', '.join(map(repr, called))}" if called else ""
            candidates.append(f"{index} ({spec.name!r}{by})")
        how = f"give one by its index, {found[0]}" + (", or a signature" if several else "")
        return self.error(
            f"{self.said}{len(found)} {self.kind}s of {self.owner} are named {key!r}, "
            f"{', '.join(candidates)}; {how}"
        )

    def _unknown(self, key: str, known: list[str]) -> AssayError:
        near = get_close_matches(key, known, 1)
        if near:
            hint = f"did you mean {near[0]!r}?"
        elif len(known) <= _LISTED:
            hint = f"there are only {', '.join(known)}"
        else:
            hint = "assay inspect lists the tensors"
        return self.error(f"{self.said}{self.owner}: no {self.kind} is named {key!r}; {hint}")

"""``--experiments A B C`` and what becomes of other arguments."""

from __future__ import annotations

import pytest

from assay.cli.entry import spread


def pairs(*names: str) -> list[str]:
    return [f"--experiments={name}" for name in names]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", []),
        ("--experiments a", pairs("a")),
        ("--experiments a b c", pairs("a", "b", "c")),
        ("--experiments a --experiments b c", pairs("a", "b", "c")),
        ("--experiments=a", pairs("a")),
        ("--experiments=a b", pairs("a", "b")),
        ("--experiments a b --threads 2", [*pairs("a", "b"), "--threads", "2"]),
        ("--threads 2 --experiments a", ["--threads", "2", *pairs("a")]),
        # An option's value is not taken for a name, nor a negative number for an option's name.
        ("--target llvm x --experiments a", ["--target", "llvm", "x", *pairs("a")]),
        (
            "--experiments a --test-dataset-fraction -1",
            [*pairs("a"), "--test-dataset-fraction", "-1"],
        ),
        ("--experiments a -h", [*pairs("a"), "-h"]),
        # Without a name it is kept as an empty one, which does not exist.
        ("--experiments", pairs("")),
        ("--experiments --threads 2", [*pairs(""), "--threads", "2"]),
        ("--experiments=", pairs("")),
        # After -- nothing is an option.
        ("--experiments a -- b --experiments c", [*pairs("a"), "--", "b", "--experiments", "c"]),
        ("-- --experiments a b", ["--", "--experiments", "a", "b"]),
        # Another option that begins alike is another option.
        ("--experiments-x a b", ["--experiments-x", "a", "b"]),
    ],
)
def test_spread(given, expected):
    arguments = given.split()
    assert spread(arguments, "--experiments") == expected
    assert arguments == given.split()

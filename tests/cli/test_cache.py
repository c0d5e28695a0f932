"""Commands that compile take an earlier build from the cache, and say so."""

from __future__ import annotations

import pytest

from assay.compiler.artifact import read_artifact

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def compile_toy(assay, files):
    def run(*options):
        library = files / "toy.so"
        model = files / "toy.fp32.tflite"
        done = assay("compile", model, "-o", library, "--target", "llvm", *options)
        assert done.code == 0
        assert read_artifact(library)
        return done

    return run


def test_the_command_says_when_a_build_is_an_earlier_one(compile_toy):
    assert " s for {" in compile_toy().out
    assert " s before for {" in compile_toy().out
    assert " s before for {" not in compile_toy("--no-cache").out


def test_without_cache_nothing_is_kept(compile_toy, own_cache):
    compile_toy("--no-cache")
    assert not own_cache.exists()


def test_a_cache_of_somebody_else_is_not_used(compile_toy, own_cache):
    compile_toy()
    own_cache.chmod(0o777)
    done = compile_toy()
    assert " s for {" in done.out
    assert done.err == f"assay: no cache: {own_cache} could have been written by another user; " + (
        "see --no-cache\n"
    )


def test_bench_says_when_a_build_is_an_earlier_one(assay, files):
    def compiled() -> list[bool]:
        import json

        found = files / "bench.json"
        quick = ("--launches", 1, "--rounds", 2, "--min-time", 0, "--json", found)
        assert assay("bench", files / "toy.fp32.tflite", *quick).code == 0
        outcomes = json.loads(found.read_text())["outcomes"]
        return [each["compilation"]["cached"] for each in outcomes if each["compilation"]]

    assert compiled() == [False]
    assert compiled() == [True]

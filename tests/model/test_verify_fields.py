"""Fields that hold what no index, code or sparse layout can be, and what the refusal says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as generated

from assay.model.reader import read
from tests.builder import GraphBuilder
from tests.model.networks import sound_graph
from tests.model.outcomes import refusal

Change = Callable[[generated.ModelT], object]


def repacked(data: bytes, change: Change) -> bytes:
    """Change fields that the builder does not offer, through LiteRT's object interface."""
    model = generated.ModelT.InitFromPackedBuf(data, 0)
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def main_graph(model: generated.ModelT) -> generated.SubGraphT:
    return model.subgraphs[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: setattr(main_graph(m).operators[0], "opcodeIndex", 9), "has code 9"),
        (lambda m: setattr(m.operatorCodes[0], "builtinCode", -5), None),  # the old field counts
        (
            lambda m: [
                setattr(m.operatorCodes[0], name, -5)
                for name in ("builtinCode", "deprecatedBuiltinCode")
            ],
            "negative number -5",
        ),
        (
            lambda m: setattr(
                main_graph(m).operators[0],
                "builtinOptionsType",
                generated.BuiltinOptions.Pool2DOptions,
            ),
            "options of another operator",
        ),
        (lambda m: setattr(main_graph(m).tensors[1], "buffer", 99), "uses buffer 99 of 4"),
        (lambda m: setattr(main_graph(m).tensors[1], "externalBuffer", 1), "in another file"),
        (lambda m: setattr(main_graph(m), "operators", None), "lacks its operators"),
        (lambda m: setattr(m, "buffers", None), "lacks its buffers"),
        (lambda m: setattr(m.signatureDefs[0], "signatureKey", None), "lacks its signature_key"),
        (lambda m: setattr(m.signatureDefs[0], "subgraphIndex", 1), "graph that does not exist"),
        (
            lambda m: (
                setattr(main_graph(m).operators[0], "largeCustomOptionsOffset", 2**40),
                setattr(main_graph(m).operators[0], "largeCustomOptionsSize", 4),
            ),
            "options of operator 0 (CONV_2D) lie behind the end of the file",
        ),
    ],
)
def test_fields_out_of_range(tmp_path: Path, change: Change, words: str | None) -> None:
    data = repacked(sound_graph().build(), change)
    path = tmp_path / "net.tflite"
    if words is None:
        path.write_bytes(data)
        assert read(path).operators[0].name == "CONV_2D"
    else:
        assert words in refusal(path, data)


def test_metadata_needs_its_buffer(tmp_path: Path) -> None:
    data = sound_graph().build(metadata={"notes": b"x"})
    broken = repacked(data, lambda m: setattr(m.metadata[0], "buffer", 99))
    assert "metadata 'notes'" in refusal(tmp_path / "net.tflite", broken)


@pytest.mark.parametrize("kind", [generated.BuiltinOptions.NONE, None])
def test_operators_may_lack_their_options(tmp_path: Path, kind: int | None) -> None:
    def drop(model: generated.ModelT) -> None:
        operator = main_graph(model).operators[0]
        operator.builtinOptions = None
        if kind is not None:
            operator.builtinOptionsType = kind

    path = tmp_path / "net.tflite"
    path.write_bytes(repacked(sound_graph().build(), drop))
    assert read(path).operators[0].attributes == {}


def sparse(
    order: list[int], *dimensions: generated.DimensionMetadataT, blocks: list[int] | None = None
) -> Callable[..., None]:
    def change(model: generated.ModelT) -> None:
        sparsity = generated.SparsityParametersT()
        sparsity.traversalOrder, sparsity.blockMap = order, blocks or []
        sparsity.dimMetadata = list(dimensions)
        main_graph(model).tensors[1].sparsity = sparsity
        model.buffers[main_graph(model).tensors[1].buffer].data = [5, 7]

    return change


def dense_dimension(size: int) -> generated.DimensionMetadataT:
    dimension = generated.DimensionMetadataT()
    dimension.format, dimension.denseSize = generated.DimensionType.DENSE, size
    return dimension


def compressed_dimension(segments: list[int] | None) -> generated.DimensionMetadataT:
    dimension = generated.DimensionMetadataT()
    dimension.format = generated.DimensionType.SPARSE_CSR
    for name, values in (("arraySegments", segments), ("arrayIndices", [0, 1])):
        if values is not None:
            vector = generated.Uint8VectorT()
            vector.values = values
            setattr(dimension, name, vector)
            setattr(dimension, f"{name}Type", generated.SparseIndexVector.Uint8Vector)
    return dimension


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (sparse([0, 1], dense_dimension(2), compressed_dimension([0, 1, 2])), None),
        (sparse([0, 0], dense_dimension(2), compressed_dimension([0, 1, 2])), "described once"),
        (sparse([0, 1], dense_dimension(2)), "described once"),
        (sparse([0, 1], dense_dimension(0), compressed_dimension([0, 1, 2])), "of size 0"),
        (sparse([0, 1], dense_dimension(2), compressed_dimension(None)), "are missing"),
        (sparse([0, 1, 2], *[dense_dimension(2)] * 3, blocks=[2]), "does not have"),
    ],
)
def test_sparse_constants(tmp_path: Path, change: Callable[..., None], words: str | None) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    w = graph.constant("w", np.zeros((2, 4), np.float32))
    graph.output(graph.op("FULLY_CONNECTED", [x, w, -1], (1, 2)))
    path = tmp_path / "net.tflite"
    data = repacked(graph.build(), change)
    if words is None:
        path.write_bytes(data)
        assert read(path).tensors[w].size_bytes == 2
    else:
        assert words in refusal(path, data)

"""Real models: their facts against published numbers and against what LiteRT says."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from assay.model.facts import Model
from assay.model.reader import read

PRECISIONS = {
    "ad01_fp32": "fp32",
    "ad01_int8": "int8",
    "deeplabv3_mnv2_pascal_quant": "uint8",
    "efficientnet_b0.fp32": "fp32",
    "efficientnet_b0.int8": "int8",
    "kws_ref_model": "int8",
    "kws_ref_model_float32": "dynamic-range",
    "mobilenet_v1_0.5_160_quant": "uint8",
    "mobilenet_v2_1.0_224_quant": "uint8",
    "mobilenet_v3_small.fp32": "fp32",
    "mobilenet_v3_small.int8": "int8",
    "pretrainedResnet": "fp32",
    "pretrainedResnet_quant": "int8",
    "resnet50_half.fp32": "fp32",
    "resnet50_half.int8": "int8",
    "str_ww_ref_model": "int8",
    "vww_96_float": "fp32",
    "vww_96_int8": "int8",
    "pet-dataset-tensorflow.fp32": "fp32",
    "pet-dataset-tensorflow.int8-0.8": "int8",
}

# Multiply-accumulates in millions and parameters in thousands, as the papers give them: MobileNet
# (arXiv:1704.04861), MobileNetV2 (arXiv:1801.04381), and MobileNetV3 small (arXiv:1905.02244).
PUBLISHED = {
    "mobilenet_v1_0.5_160_quant": (76, 1330),
    "mobilenet_v2_1.0_224_quant": (300, 3470),
    "mobilenet_v3_small.fp32": (56, None),  # its classifier here has 100 classes, not 1000
}


@lru_cache
def find(shared: Path, name: str) -> Path:
    for folder in (shared / "zoo", shared / "pets" / "models"):
        if (folder / f"{name}.tflite").is_file():
            return folder / f"{name}.tflite"
    pytest.skip(f"{name}.tflite is not among the shared models")


@lru_cache
def facts(shared: Path, name: str) -> Model:
    return read(find(shared, name))


@pytest.mark.parametrize(("name", "precision"), PRECISIONS.items())
def test_precision(shared: Path, name: str, precision: str) -> None:
    assert facts(shared, name).precision == precision


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_size_of_the_network(
    shared: Path, name: str, published: tuple[float, float | None]
) -> None:
    model = facts(shared, name)
    macs, parameters = published
    assert model.macs / 1e6 == pytest.approx(macs, rel=0.02)
    if parameters is not None:
        assert model.parameters / 1e3 == pytest.approx(parameters, rel=0.02)


def test_keyword_spotter_layer_by_layer(shared: Path) -> None:
    """A 10x4 convolution to 25x5x64, four depthwise separable blocks, and 12 classes."""
    model = facts(shared, "kws_ref_model")
    area = 25 * 5
    block = area * 64 * 9 + area * 64 * 64
    assert model.macs == area * 64 * 40 + 4 * block + 64 * 12
    assert model.parameters == (40 + 1) * 64 + 4 * (64 * 10 + 64 * 65) + 65 * 12


def test_residual_network_layer_by_layer(shared: Path) -> None:
    """Three stacks of 16, 32 and 64 channels; the last two halve and widen their shortcut."""
    macs = 32 * 32 * 16 * 27 + 2 * 32 * 32 * 16 * 144 + 64 * 10
    for side, width in ((16, 32), (8, 64)):
        macs += side * side * width * (9 * width // 2 + 9 * width + width // 2)
    assert facts(shared, "pretrainedResnet").macs == macs


def test_operators_of_the_pets_network(shared: Path) -> None:
    model = facts(shared, "pet-dataset-tensorflow.int8-0.8")
    assert model.op_counts == {
        "CONV_2D": 35,
        "DEPTHWISE_CONV_2D": 17,
        "ADD": 10,
        "FULLY_CONNECTED": 4,
        "MEAN": 1,
    }
    assert model.inputs[0].shape == (-1, 224, 224, 3)
    assert model.tensors[model.input_indices[0]].static_shape == (1, 224, 224, 3)
    assert model.outputs[0].shape == (-1, 37)
    # The backbone's 300.8 million less its classifier's, and four dense layers.
    dense = 1280 * 1024 + 1024 * 512 + 512 * 128 + 128 * 37
    assert sum(op.macs for op in model.operators if op.name == "FULLY_CONNECTED") == dense


@pytest.mark.parametrize("name", PRECISIONS)
def test_tensors_as_litert_sees_them(shared: Path, name: str) -> None:
    model = facts(shared, name)
    interpreter = Interpreter(model_path=str(find(shared, name)))
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    assert [d["index"] for d in interpreter.get_input_details()] == list(model.input_indices)
    assert [d["index"] for d in interpreter.get_output_details()] == list(model.output_indices)
    for tensor in model.tensors:
        detail = details[tensor.index]
        assert tensor.name == detail["name"]
        assert tensor.dtype == np.dtype(detail["dtype"]).name
        assert list(tensor.static_shape) == detail["shape"].tolist()
        assert list(tensor.shape) == detail["shape_signature"].tolist()
        declared = detail["quantization_parameters"]
        if tensor.quantization is None:
            assert declared["scales"].size == 0 or tensor.dtype == "float32"
            continue
        assert np.float32(tensor.quantization.scale).tolist() == declared["scales"].tolist()
        assert list(tensor.quantization.zero_point) == declared["zero_points"].tolist()
        if tensor.quantization.per_axis:
            assert tensor.quantization.axis == declared["quantized_dimension"]


@pytest.mark.parametrize("name", ["mobilenet_v2_1.0_224_quant", "vww_96_int8"])
def test_operators_as_litert_sees_them(shared: Path, name: str) -> None:
    # Its own name for the list is private, and the only independent account there is.
    interpreter = Interpreter(model_path=str(find(shared, name)))
    listed = interpreter._get_ops_details()
    operators = facts(shared, name).operators
    assert [op.name for op in operators] == [entry["op_name"] for entry in listed]
    assert [list(op.inputs) for op in operators] == [entry["inputs"].tolist() for entry in listed]
    assert [list(op.outputs) for op in operators] == [entry["outputs"].tolist() for entry in listed]

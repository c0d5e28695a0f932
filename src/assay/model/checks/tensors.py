"""Whether the tensors of a graph have possible shapes, and constants of the right size."""

from __future__ import annotations

import math
from struct import unpack_from

import tflite

from assay.model.access import constant_bytes, ints, is_constant, text
from assay.model.checks.quantization import check_quantization
from assay.model.checks.sparsity import check_sparsity
from assay.model.damage import Damage, shortened
from assay.model.dtypes import DTYPES, dense_bytes

MAX_ELEMENTS = 2**31 - 1  # TFLite's kernels count elements in an int
MAX_RANK = 64  # as in NumPy; TFLite's kernels take fewer
_EXTERNAL_BUFFER = 4 + 2 * 10  # slot 10, which the generated class does not know yet


def label(tensor: tflite.Tensor, index: int) -> str:
    """Return how an error speaks of a tensor."""
    return f"tensor {index} {shortened(text(tensor.Name()))}"


def check_tensor(model: tflite.Model, tensor: tflite.Tensor, index: int, data: bytes) -> None:
    """Raise Damage unless shape, content and quantization of a tensor fit each other."""
    name = label(tensor, index)
    shape = _check_shape(tensor, name)
    dtype = DTYPES[tensor.Type()]
    check_quantization(tensor, name, shape, dtype)
    if tensor._tab.Offset(_EXTERNAL_BUFFER):
        raise Damage(
            f"{name} is kept in another file, which assay does not read",
            "export the model into a single file",
        )
    if tensor.Buffer() >= model.BuffersLength():
        raise Damage(f"{name} uses buffer {tensor.Buffer()} of {model.BuffersLength()}")
    sparsity = tensor.Sparsity()
    if sparsity is not None:
        check_sparsity(sparsity, name, shape)
    if is_constant(model, tensor):
        _check_constant(model, tensor, name, shape, data)


def _check_shape(tensor: tflite.Tensor, name: str) -> tuple[int, ...]:
    shape = ints(tensor.ShapeAsNumpy())
    signature = ints(tensor.ShapeSignatureAsNumpy())
    if max(len(shape), len(signature)) > MAX_RANK:
        raise Damage(f"{name} has {max(len(shape), len(signature))} dimensions")
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise Damage(f"{name} has the impossible shape {list(shape)}")
    fits = len(signature) == len(shape) and all(
        declared in (-1, size) for declared, size in zip(signature, shape, strict=True)
    )
    if signature and not fits:
        raise Damage(f"{name} has shape {list(shape)}, but declares it as {list(signature)}")
    return shape


def _check_constant(
    model: tflite.Model, tensor: tflite.Tensor, name: str, shape: tuple[int, ...], data: bytes
) -> None:
    if tensor.IsVariable():
        raise Damage(f"{name} is a constant and a variable at once")
    buffer = model.Buffers(tensor.Buffer())
    if buffer.DataLength() == 0 and buffer.Offset() + buffer.Size() > len(data):
        raise Damage(f"the data of {name} lies behind the end of the file")
    if tensor.Sparsity() is not None:
        return
    dtype = DTYPES[tensor.Type()]
    content = constant_bytes(model, tensor, data)
    expected = dense_bytes(dtype, math.prod(shape))
    if expected is not None and expected != len(content):
        raise Damage(f"{name} takes {expected} bytes, but the file holds {len(content)}")
    if dtype == "string":
        _check_strings(content, name, math.prod(shape))


def _check_strings(content: memoryview, name: str, count: int) -> None:
    """Check the number of strings, then that many starts and an end, then the characters."""
    head = 4 * (count + 2)
    if len(content) < head or unpack_from("<i", content)[0] != count:
        raise Damage(f"{name} does not hold {count} strings")
    bounds = unpack_from(f"<{count + 1}i", content, 4)
    if bounds[0] != head or list(bounds) != sorted(bounds) or bounds[-1] > len(content):
        raise Damage(f"the strings of {name} overlap or lie outside of it")

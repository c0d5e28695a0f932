"""Whether the tensors of a graph have possible shapes, and constants of the right size."""

from __future__ import annotations

import math
from struct import unpack_from

from assay.model.access import constant_bytes, is_constant
from assay.model.checks.quantization import check_quantization
from assay.model.checks.sparsity import check_sparsity
from assay.model.damage import Damage, shortened
from assay.model.dtypes import DTYPES, dense_bytes
from assay.model.tables import Table

MAX_ELEMENTS = 2**31 - 1  # TFLite's kernels count elements in an int
MAX_RANK = 64  # as in NumPy; TFLite's kernels take fewer


def label(tensor: Table, index: int) -> str:
    """Return how an error speaks of a tensor."""
    return f"tensor {index} {shortened(tensor.name)}"


def check_tensor(model: Table, tensor: Table, index: int, data: bytes) -> None:
    """Raise Damage unless shape, content and quantization of a tensor fit each other."""
    name = label(tensor, index)
    shape = _check_shape(tensor, name)
    dtype = DTYPES[tensor.type]
    check_quantization(tensor, name, shape, dtype)
    if tensor.external_buffer:
        raise Damage(
            f"{name} is kept in another file, which assay does not read",
            "export the model into a single file",
        )
    if tensor.buffer >= len(model.buffers):
        raise Damage(f"{name} uses buffer {tensor.buffer} of {len(model.buffers)}")
    if tensor.sparsity is not None:
        check_sparsity(tensor.sparsity, name, shape)
    if is_constant(model, tensor):
        _check_constant(model, tensor, name, shape, data)


def _check_shape(tensor: Table, name: str) -> tuple[int, ...]:
    shape, signature = tuple(tensor.shape), tuple(tensor.shape_signature)
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
    model: Table, tensor: Table, name: str, shape: tuple[int, ...], data: bytes
) -> None:
    if tensor.is_variable:
        raise Damage(f"{name} is a constant and a variable at once")
    buffer = model.buffers[tensor.buffer]
    if len(buffer.data) == 0 and buffer.offset + buffer.size > len(data):
        raise Damage(f"the data of {name} lies behind the end of the file")
    if tensor.sparsity is not None:
        return
    dtype = DTYPES[tensor.type]
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

"""What a file that is no TFLite model most likely is, from its first bytes."""

from __future__ import annotations

IDENTIFIER = b"TFL3"
"""File identifier of the TFLite schema, at byte 4 of the file."""

_CONVERT = "convert it to TFLite first"
_EXTRACT = "extract the .tflite file from it"
_FETCH = "fetch the model itself"

# (first bytes, what that is, what to do). Longer prefixes stand before those that they begin with.
_PREFIXES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as a Keras .h5 model", _CONVERT),
    (b"PK\x03\x04", "a ZIP archive, such as a .keras or PyTorch file", f"{_EXTRACT} or convert it"),
    (b"\x1f\x8b", "a gzip archive", _EXTRACT),
    (b"BZh", "a bzip2 archive", _EXTRACT),
    (b"\xfd7zXZ\x00", "an xz archive", _EXTRACT),
    (b"version https://git-lfs", "a Git LFS pointer", f"{_FETCH} with git lfs pull"),
    (b"\x80\x02", "a Python pickle, such as a PyTorch checkpoint", _CONVERT),
    (b"\x7fELF", "a compiled library or program", "give the .tflite file it was made from"),
    (b"\x89PNG\r\n\x1a\n", "an image", "give a .tflite file"),
    (b"\xff\xd8\xff", "an image", "give a .tflite file"),
)

# Protocol buffers have no identifier, but their first fields tell them apart. ONNX: the IR version
# (3 at least), then the producer or the graph. SavedModel: version 1, then a message.
_ONNX_VERSIONS = range(3, 64)
_ONNX_NEXT_FIELDS = b"\x12\x1a\x22\x2a\x32\x3a\x42"
_SAVED_MODEL = b"\x08\x01\x12"
_HEAD = 512


def guess_kind(data: bytes) -> tuple[str, str] | None:
    """Return what the bytes look like and how to get a TFLite model from there, or None."""
    for prefix, kind, remedy in _PREFIXES:
        if data.startswith(prefix):
            return kind, remedy
    head = data[:_HEAD].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page", f"{_FETCH}, not the page about it"
    if head.startswith(b"<?xml"):
        return "an XML file, such as an OpenVINO model", "give the .tflite file"
    if data[4:6] == b"ET" and data[6:8].isdigit():
        return "an ExecuTorch program", "export the model as .tflite instead"
    if data[8:9] == b"{" and b'"dtype"' in data[:_HEAD]:
        return "a safetensors file", _CONVERT
    if (
        len(data) > 2
        and data[0] == 8
        and data[1] in _ONNX_VERSIONS
        and data[2] in _ONNX_NEXT_FIELDS
    ):
        return "an ONNX model", "name it .onnx"
    if data.startswith(_SAVED_MODEL):
        return "a TensorFlow SavedModel", _CONVERT
    return None

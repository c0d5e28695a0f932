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

# Protocol buffers have no identifier: an ONNX file starts with its IR version (field 1, a varint)
# and a string (field 2) that is the producer; a SavedModel with its version, then a message.
_ONNX_PRODUCERS = (b"pytorch", b"tf2onnx", b"onnx", b"keras2onnx", b"skl2onnx", b"backend-test")
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
    if data[:1] == b"\x08" and any(name in head for name in _ONNX_PRODUCERS):
        return "an ONNX model", "give the .tflite export of the same network"
    if data.startswith((b"\x08\x01\x12", b"\n")) and b"\x12" in data[:_HEAD]:
        return "a TensorFlow graph, such as saved_model.pb", _CONVERT
    return None

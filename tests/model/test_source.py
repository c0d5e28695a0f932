"""Paths that are no TFLite file: one sentence that says what is there and what to do."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from assay.errors import ModelError
from assay.model.reader import read


def refusal(path: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.weights.h5", b"")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("net.tflite", b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:", "ONNX"),
        ("net.tflite", b"\x08\x08:\x90\x03\n\x10\n\x01x", "ONNX"),
        ("net.h5", b"\x89HDF\r\n\x1a\n" + bytes(8), "HDF5"),
        ("net.keras", zipped(), "ZIP"),
        ("saved_model.pb", b"\x08\x01\x12\xa4\x0b\n\x95\x02", "SavedModel"),
        ("net.tar.gz", b"\x1f\x8b\x08\x00" + bytes(6), "gzip"),
        ("net.xml", b'<?xml version="1.0"?><net name="x"/>', "OpenVINO"),
        ("net.so", b"\x7fELF\x02\x01\x01" + bytes(9), "compiled library"),
        ("net.pte", b"\x20\x00\x00\x00ET12" + bytes(9), "ExecuTorch"),
        ("cat.jpg", b"\xff\xd8\xff\xe0" + bytes(9), "image"),
        ("net.tflite", b"<!DOCTYPE html><html><body>Not found", "web page"),
        ("net.tflite", b"\n  <html lang='en'>", "web page"),
        ("net.tflite", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        ("net.safetensors", b'\x30\0\0\0\0\0\0\0{"w":{"dtype":"F32","shape":[1]}}', "safetensors"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(f"{path} is no TFLite model")
    assert kind in message
    assert ";" in message


@pytest.mark.parametrize("content", [b"x", b"just some text, longer than the header", bytes(64)])
def test_files_of_no_known_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    assert "TFL3" in refusal(path)


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nothing.tflite")
    assert "does not exist" in refusal(str(tmp_path / "nothing.tflite"))


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.touch()
    assert "is empty" in refusal(path)


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    os.mkfifo(path)
    assert "no regular file" in refusal(path)


def test_file_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be read" in refusal(tmp_path / "file" / "net.tflite")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read any file")
def test_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.touch(mode=0o000)
    assert "Permission denied" in refusal(path)


def test_impossible_paths() -> None:
    assert "no possible path" in refusal("net\0.tflite")
    assert "cannot be read" in refusal("x" * 5000)


def test_a_path_with_a_line_break_stays_on_one_line(tmp_path: Path) -> None:
    assert "two\\nlines" in refusal(tmp_path / "two\nlines.tflite")

import json

import numpy as np
import pytest
from PIL import Image

from assay.datasets.image_folder import ImageFolder
from assay.datasets.preprocess import Preprocess
from assay.errors import DatasetError

GRAY = Preprocess(size=(2, 3), scale=1.0, color="gray", resample="nearest")


def write(root, *names):
    for value, name in enumerate(names, start=1):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), value).save(root / name)
    return root


def test_classes_and_files_are_sorted_by_name(tmp_path):
    root = write(tmp_path / "zoo", "dog/b.png", "cat/z.png", "dog/a.bmp")
    data = ImageFolder(root, GRAY)
    assert data.name == "zoo"
    assert data.classes == ("cat", "dog")
    assert data.ids == ("cat/z.png", "dog/a.bmp", "dog/b.png")
    assert data.labels == (0, 1, 1)
    assert [example.data.max() for example in data] == [2, 3, 1]
    assert data[0].data.shape == (2, 3, 1)
    assert data[0].data.dtype == np.float32


def test_all_formats_are_read_in_any_case_and_other_files_left_out(tmp_path):
    root = write(tmp_path, *(f"c/{n}" for n in ("a.jpg", "b.JPEG", "c.png", "d.bmp", "e.webp")))
    (root / "c" / "notes.txt").write_text("x")
    (root / "c" / ".hidden.png").write_text("x")
    (root / ".git").mkdir()
    (root / "README.md").write_text("x")
    data = ImageFolder(root, GRAY)
    assert data.classes == ("c",)
    assert " ".join(e.id for e in data) == "c/a.jpg c/b.JPEG c/c.png c/d.bmp c/e.webp"


def test_an_empty_class_keeps_its_number(tmp_path):
    root = write(tmp_path, "a/1.png", "c/1.png")
    (root / "b").mkdir()
    data = ImageFolder(root, GRAY)
    assert data.classes == ("a", "b", "c")
    assert data.labels == (0, 2)


def test_facts_have_no_split(tmp_path):
    facts = ImageFolder(write(tmp_path / "zoo", "a/1.png"), GRAY).facts()
    assert json.loads(json.dumps(facts)) == facts
    assert set(facts) == {"name", "samples", "preprocess", "sha256"}


def test_the_same_files_in_other_classes_are_other_data(tmp_path):
    one = ImageFolder(write(tmp_path / "one", "a/1.png", "b/2.png"), GRAY)
    two = ImageFolder(write(tmp_path / "two", "a/1.png", "a/2.png"), GRAY)
    assert one.facts()["sha256"] != two.facts()["sha256"]


def test_no_directory(tmp_path):
    with pytest.raises(DatasetError, match="gone: no such directory"):
        ImageFolder(tmp_path / "gone", GRAY)


def test_no_classes(tmp_path):
    write(tmp_path, "1.png")
    with pytest.raises(DatasetError, match="has no sub-folder"):
        ImageFolder(tmp_path, GRAY)


def test_no_images(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(DatasetError, match=r"all class folders \(2\) are empty"):
        ImageFolder(tmp_path, GRAY)


def test_a_class_of_other_files_only_is_a_mistake(tmp_path):
    root = write(tmp_path, "a/1.png", "b/1.tiff")
    with pytest.raises(DatasetError, match=r"b: holds no image but '1\.tiff'"):
        ImageFolder(root, GRAY)


def test_a_damaged_image_is_named(tmp_path):
    root = write(tmp_path, "a/1.png")
    (root / "a" / "2.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"2\.png: does not decode"):
        ImageFolder(root, GRAY)[1]

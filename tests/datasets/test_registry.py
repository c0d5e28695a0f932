import numpy as np
import pytest

from assay.datasets.image_folder import ImageFolder
from assay.datasets.npz import Npz
from assay.datasets.oxford_pet import OxfordPet
from assay.datasets.preprocess import IMAGENET_224, Preprocess
from assay.datasets.registry import open_dataset
from assay.errors import ConfigError, DatasetError
from tests.datasets.pets import write_pets

SMALL = Preprocess(size=(3, 4), mean=(0.5,), std=(0.25,))


@pytest.fixture
def pets(tmp_path):
    return write_pets(tmp_path / "pets")


@pytest.fixture
def folder(tmp_path, pets):
    root = tmp_path / "folder"
    (root / "a").mkdir(parents=True)
    (pets / "images" / "Abyssinian_1.jpg").rename(root / "a" / "1.jpg")
    return root


@pytest.fixture
def npz(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.full((1, 2, 2, 3), 255, np.uint8), y=[0])
    return tmp_path / "data.npz"


def test_the_built_in_digits():
    digits = open_dataset("digits")
    assert digits.name == "digits"
    assert len(digits.classes) == 10
    with pytest.raises(ConfigError, match="'digits' comes pre-processed"):
        open_dataset("digits", preprocess=SMALL)


def test_oxford_pet_by_name_and_by_path(pets):
    for spec in (f"oxford-pet:{pets}", str(pets), pets):
        data = open_dataset(spec, "trainval")
        assert isinstance(data, OxfordPet)
        assert data.split == "trainval"
        assert data.preprocess == IMAGENET_224
    assert open_dataset(pets, preprocess=SMALL).preprocess == SMALL


def test_an_image_folder_by_name_and_by_path(folder):
    for spec in (f"folder:{folder}", str(folder), folder):
        data = open_dataset(spec, preprocess=SMALL)
        assert isinstance(data, ImageFolder)
        assert data[0].data.shape == (3, 4, 3)


def test_an_image_folder_needs_pre_processing(folder):
    with pytest.raises(ConfigError, match="needs pre-processing; give the size"):
        open_dataset(folder)


def test_an_npz_file_by_name_and_by_path(npz):
    for spec in (f"npz:{npz}", str(npz), npz):
        data = open_dataset(spec)
        assert isinstance(data, Npz)
        assert data[0].data.max() == 255
    np.testing.assert_allclose(open_dataset(npz, preprocess=SMALL)[0].data, 2.0)


def test_a_name_before_the_colon_overrules_what_the_path_looks_like(pets):
    image = pets / "images" / "Abyssinian_2.jpg"
    image.rename(pets / "annotations" / "1.jpg")
    assert open_dataset(f"folder:{pets}", preprocess=SMALL).classes == ("annotations", "images")


def test_home_is_expanded_after_the_colon(npz, monkeypatch):
    monkeypatch.setenv("HOME", str(npz.parent))
    assert len(open_dataset("npz:~/data.npz")) == 1


def test_data_without_splits_refuses_one(folder, npz):
    for spec in (folder, npz):
        with pytest.raises(DatasetError, match="has no split 'trainval'"):
            open_dataset(spec, "trainval", SMALL)


@pytest.mark.parametrize(
    "spec", ["", "gone", "cifar:gone", "npz:", "~nobody-of-that-name/x", "empty", "notes.txt"]
)
def test_anything_else_is_told_what_would_be_right(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "sub").mkdir()
    with pytest.raises(DatasetError, match="give digits, oxford-pet:DIR, folder:DIR, npz:FILE"):
        open_dataset(spec)


def test_a_named_form_whose_path_is_missing_says_so(tmp_path):
    for kind in ("oxford-pet", "folder", "npz"):
        with pytest.raises(DatasetError, match="gone"):
            open_dataset(f"{kind}:{tmp_path / 'gone'}", preprocess=SMALL)

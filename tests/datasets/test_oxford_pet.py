import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from assay.datasets.oxford_pet import OxfordPet
from assay.datasets.preprocess import Preprocess
from assay.errors import DatasetError
from tests.datasets.pets import HEADER, REAL_PETS, TEST, needs_real_pets, write_pets

SMALL = Preprocess(size=(3, 4))


def test_labels_are_the_class_ids_from_zero_in_the_files_order(tmp_path):
    pets = OxfordPet(write_pets(tmp_path))
    assert pets.name == "oxford-pet"
    assert pets.ids == ("Abyssinian_2", "Abyssinian_12", "american_bulldog_10")
    assert pets.labels == (0, 0, 1)
    assert len(pets) == 3


def test_class_names_keep_their_underscores_and_there_are_always_37(tmp_path):
    classes = OxfordPet(write_pets(tmp_path)).classes
    assert classes[:3] == ("Abyssinian", "american_bulldog", "class_3")
    assert len(classes) == 37


def test_a_class_of_the_other_split_has_its_name(tmp_path):
    root = write_pets(tmp_path, trainval="beagle_1 5 2 4\n")
    assert OxfordPet(root, "test").classes[4] == "beagle"


def test_trainval_skips_the_header(tmp_path):
    assert OxfordPet(write_pets(tmp_path), "trainval").ids == ("Abyssinian_1", "american_bulldog_7")


def test_the_other_split_may_be_missing(tmp_path):
    root = write_pets(tmp_path)
    (root / "annotations" / "trainval.txt").unlink()
    assert len(OxfordPet(root, "test")) == 3


def test_an_example_is_the_pre_processed_image(tmp_path):
    root = write_pets(tmp_path)
    example = OxfordPet(root, preprocess=SMALL)[2]
    assert (example.id, example.label) == ("american_bulldog_10", 1)
    with Image.open(root / "images" / "american_bulldog_10.jpg") as image:
        pixels = np.asarray(image.resize((4, 3), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(example.data, pixels / 255, atol=1e-6)


def test_pre_processing_is_imagenets_at_224_by_default(tmp_path):
    root = write_pets(tmp_path)
    Image.new("RGB", (50, 40), (255, 0, 128)).save(root / "images" / "Abyssinian_2.jpg", quality=95)
    data = OxfordPet(root)[0].data
    assert data.shape == (224, 224, 3)
    expected = (np.array([255, 0, 128]) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(data.mean(axis=(0, 1)), expected, atol=0.03)


def test_facts_identify_the_data(tmp_path):
    pets = OxfordPet(write_pets(tmp_path), preprocess=SMALL)
    text = '["Abyssinian_2", 0]\n["Abyssinian_12", 0]\n["american_bulldog_10", 1]\n'
    assert pets.facts() == {
        "name": "oxford-pet",
        "split": "test",
        "samples": 3,
        "preprocess": SMALL.facts(),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    assert json.loads(json.dumps(pets.facts())) == pets.facts()


def test_a_subset_is_balanced(tmp_path):
    lines = [f"{name}_{i} {c} 1 1\n" for c, name in ((7, "Birman"), (26, "pug")) for i in range(4)]
    part = OxfordPet(write_pets(tmp_path, test="".join(lines)), preprocess=SMALL).subset(0.5)
    assert Counter(part.labels) == {6: 2, 25: 2}
    assert part[3].data.shape == (3, 4, 3)
    assert part.facts()["split"] == "test"


@pytest.mark.parametrize("missing", ["", "annotations", "images", "annotations/test.txt"])
def test_what_is_missing_is_named_with_the_way_to_get_it(tmp_path, missing):
    root = write_pets(tmp_path / "pets")
    (root / missing).rename(tmp_path / "away")
    with pytest.raises(DatasetError, match="--download-dataset") as caught:
        OxfordPet(root)
    assert str(caught.value).startswith(f"{root / missing}: no such")


def test_missing_images_are_counted_up_front(tmp_path):
    root = write_pets(tmp_path)
    (root / "images" / "Abyssinian_12.jpg").unlink()
    (root / "images" / "american_bulldog_10.jpg").unlink()
    message = r"Abyssinian_12\.jpg: no such image, one of 2 missing out of 3"
    with pytest.raises(DatasetError, match=message):
        OxfordPet(root)


def test_an_image_that_does_not_decode_is_named_on_access(tmp_path):
    root = write_pets(tmp_path)
    (root / "images" / "Abyssinian_12.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    pets = OxfordPet(root)
    with pytest.raises(DatasetError, match=r"Abyssinian_12\.jpg: does not decode"):
        pets[1]


@pytest.mark.parametrize(
    "line",
    [
        "Abyssinian_3 1 1",
        "Abyssinian_3 1 1 1 1",
        "Abyssinian 1 1 1",
        "Abyssinian_3 one 1 1",
        "Abyssinian_3 0 1 1",
        "Abyssinian_3 38 1 1",
        "Abyssinian_3 -1 1 1",
        "../../etc/Abyssinian_3 1 1 1",
        "pug_3 1 1 1",
        "\x00\x01\x02",
    ],
)
def test_a_line_that_does_not_parse_is_named_by_file_and_number(tmp_path, line):
    root = write_pets(tmp_path)
    (root / "annotations" / "test.txt").write_text(f"{HEADER}{TEST}{line}\n")
    with pytest.raises(DatasetError, match=r"test\.txt: line 6: ") as caught:
        OxfordPet(root)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_named_by_line(tmp_path):
    root = write_pets(tmp_path)
    (root / "annotations" / "test.txt").write_bytes(b"Abyssinian_2 1 1 1\n\xff\xfe\x00\n")
    with pytest.raises(DatasetError, match=r"test\.txt: line 2: "):
        OxfordPet(root)


def test_windows_line_ends_and_blank_lines_are_fine(tmp_path):
    root = write_pets(tmp_path)
    (root / "annotations" / "test.txt").write_bytes(b"#x\r\n\r\nAbyssinian_2 1 1 1\r\n")
    assert OxfordPet(root).ids == ("Abyssinian_2",)


def test_annotations_without_an_image_are_refused(tmp_path):
    root = write_pets(tmp_path)
    (root / "annotations" / "test.txt").write_text(HEADER)
    with pytest.raises(DatasetError, match=r"test\.txt: lists no image"):
        OxfordPet(root)


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="split 'val' is not one of trainval, test"):
        OxfordPet(tmp_path, "val")


@needs_real_pets
def test_the_real_photographs():
    pets = OxfordPet(REAL_PETS)
    assert len(pets) == 555
    assert Counter(pets.labels) == dict.fromkeys(range(37), 15)
    assert pets.classes[0] == "Abyssinian"
    assert pets.classes[36] == "yorkshire_terrier"
    assert not any(name.startswith("class_") for name in pets.classes)
    assert len(OxfordPet(REAL_PETS, "trainval")) == 1679
    part = pets.subset(0.2)
    assert Counter(part.labels) == dict.fromkeys(range(37), 3)


@needs_real_pets
def test_a_trained_model_recognizes_what_the_data_set_delivers():
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    file = REAL_PETS.parent / "models" / "pet-dataset-tensorflow.fp32.tflite"
    if not file.is_file():
        pytest.skip("needs the MobileNetV2 trained on Oxford-IIIT Pet")
    model = litert.Interpreter(str(file), num_threads=1)
    model.allocate_tensors()
    part = OxfordPet(REAL_PETS).subset(0.2)
    correct = 0
    for example in part:
        model.set_tensor(model.get_input_details()[0]["index"], example.data[None])
        model.invoke()
        scores = model.get_tensor(model.get_output_details()[0]["index"])
        correct += int(scores.argmax()) == example.label
    assert correct / len(part) > 0.8

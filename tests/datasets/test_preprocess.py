import json

import numpy as np
import pytest
from PIL import Image

from assay.datasets.preprocess import IMAGENET_224, IMAGENET_MEAN, IMAGENET_STD, Preprocess
from assay.errors import ConfigError, DatasetError

RGB = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(RGB).save(path)
    return path


def test_an_image_of_the_right_size_is_only_scaled_and_normalized(png):
    result = Preprocess(size=(5, 7), mean=IMAGENET_MEAN, std=IMAGENET_STD)(png)
    expected = (RGB.astype(np.float64) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert result.shape == (5, 7, 3)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_one_mean_and_std_apply_to_every_channel(png):
    result = Preprocess(size=(5, 7), scale=1.0, mean=(127.5,), std=(127.5,))(png)
    np.testing.assert_allclose(result, RGB / 127.5 - 1, atol=1e-6)


def test_raw_pixels_need_no_normalization(png):
    np.testing.assert_array_equal(Preprocess(size=(5, 7), scale=1.0)(png), RGB)


def test_size_is_height_then_width_and_does_not_keep_the_aspect_ratio():
    left_black = np.zeros((10, 10, 3), np.uint8)
    left_black[:, 5:] = 255
    result = Preprocess(size=(3, 4), resample="nearest")(Image.fromarray(left_black))
    assert result.shape == (3, 4, 3)
    np.testing.assert_array_equal(result[..., 0], [[0, 0, 1, 1]] * 3)


def test_box_filter_averages_whole_blocks():
    blocks = np.arange(16, dtype=np.uint8).reshape(4, 4) * 10
    result = Preprocess(size=(2, 2), scale=1.0, color="gray", resample="box")(
        Image.fromarray(blocks)
    )
    expected = blocks.reshape(2, 2, 2, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(result[..., 0], expected, atol=0.5)


def test_resample_filters_differ(png):
    results = [
        Preprocess(size=(9, 9), resample=name)(png)
        for name in ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
    ]
    assert len({result.tobytes() for result in results[2:]}) == 4
    assert not np.array_equal(results[0], results[2])


def test_gray_has_one_channel_by_the_luma_formula(png):
    result = Preprocess(size=(5, 7), scale=1.0, color="gray")(png)
    assert result.shape == (5, 7, 1)
    expected = RGB @ [0.299, 0.587, 0.114]  # ITU-R BT.601, which Pillow documents for mode L
    np.testing.assert_allclose(result[..., 0], expected, atol=0.51)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1"])
def test_every_8_bit_mode_becomes_rgb(mode):
    image = Image.new("RGB", (4, 4), "white").convert(mode)
    result = Preprocess(size=(2, 2))(image)
    np.testing.assert_allclose(result, np.ones((2, 2, 3)), atol=0.01)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deeper_images_are_refused_rather_than_clipped(tmp_path, dtype):
    path = tmp_path / "deep.tiff"
    Image.fromarray(np.full((4, 4), 1000, dtype)).save(path)
    with pytest.raises(DatasetError, match=r"deep\.tiff: more than 8 bits"):
        Preprocess(size=(2, 2))(path)


def test_a_path_may_be_text(png):
    preprocess = Preprocess(size=(5, 7))
    np.testing.assert_array_equal(preprocess(str(png)), preprocess(Image.open(png)))


def damaged(kind: str, png_bytes: bytes) -> bytes:
    cut = len(png_bytes) // 2
    return {
        "text": b"no image at all",
        "empty": b"",
        "cut off": png_bytes[:cut],
        "bad header": png_bytes[:20] + b"\xff" * 8 + png_bytes[28:],
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n",
    }[kind]


@pytest.mark.parametrize("kind", ["text", "empty", "cut off", "bad header", "postscript"])
def test_a_file_that_does_not_decode_is_named_in_one_sentence(png, kind):
    png.write_bytes(damaged(kind, png.read_bytes()))
    with pytest.raises(DatasetError, match=r"image\.png: does not decode") as caught:
        Preprocess(size=(5, 7))(png)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"gone\.jpg: no such image"):
        Preprocess(size=(5, 7))(tmp_path / "gone.jpg")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": (0, 4)}, "size"),
        ({"size": (4,)}, "size"),
        ({"size": (4.0, 4)}, "size"),
        ({"std": (0.0,)}, "std must not be 0"),
        ({"std": (1.0, 0.0, 1.0)}, "std must not be 0"),
        ({"scale": 0.0}, "scale must not be 0"),
        ({"scale": float("nan")}, "finite"),
        ({"mean": (float("inf"),)}, "finite"),
        ({"mean": (0.5, 0.5)}, "mean has 2 values for 3 channel"),
        ({"mean": ()}, "mean has 0 values"),
        ({"mean": (0.5, 0.5, 0.5), "color": "gray"}, "mean has 3 values for 1 channel"),
        ({"color": "bgr"}, "color 'bgr'"),
        ({"resample": "area"}, "resample 'area'"),
    ],
)
def test_values_that_cannot_work_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        Preprocess(**{"size": (4, 4), **fields})


def test_facts_survive_json():
    facts = IMAGENET_224.facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts == {
        "size": [224, 224],
        "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "color": "rgb",
        "resample": "bicubic",
    }

import json

import numpy as np
import pytest

from assay.datasets.npz import Npz
from assay.errors import ConfigError, DatasetError

X = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
Y = np.array([1, 0])


def save(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "float16", "float32", "float64"])
def test_numbers_become_float32(tmp_path, dtype):
    data = Npz(save(tmp_path, x=X.astype(dtype), y=Y))
    assert data[1].data.dtype == np.float32
    np.testing.assert_array_equal(data[1].data, X[1].astype(dtype))
    assert (data[1].id, data[1].label) == ("1", 0)
    assert (data.name, data.classes, len(data)) == ("data", ("0", "1"), 2)


@pytest.mark.parametrize("shape", [(2, 1), (2, 490), (2, 49, 10, 1), (2, 2, 2, 2, 2)])
def test_inputs_of_any_rank(tmp_path, shape):
    assert Npz(save(tmp_path, x=np.zeros(shape), y=Y))[0].data.shape == shape[1:]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint64", "int32"])
def test_labels_of_any_integer_type(tmp_path, dtype):
    data = Npz(save(tmp_path, x=X, y=Y.astype(dtype)))
    assert data.labels == (1, 0)
    assert all(type(label) is int for label in data.labels)


def test_scale_mean_and_std_go_along_the_last_axis(tmp_path):
    data = Npz(save(tmp_path, x=X, y=Y), 1 / 255, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    expected = (X[0] / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    np.testing.assert_allclose(data[0].data, expected, atol=1e-6)


def test_names_may_be_given_for_classes_without_examples(tmp_path):
    data = Npz(save(tmp_path, x=X, y=Y, classes=["yes", "no", "unknown"]))
    assert data.classes == ("yes", "no", "unknown")


def test_iteration_ends(tmp_path):
    assert [example.label for example in Npz(save(tmp_path, x=X, y=Y))] == [1, 0]


def test_facts_tell_data_with_the_same_labels_apart(tmp_path):
    one = Npz(save(tmp_path, x=X, y=Y)).facts()
    two = Npz(save(tmp_path, x=X + 1, y=Y)).facts()
    assert json.loads(json.dumps(one)) == one
    assert one["sha256"] == two["sha256"]
    assert one["x_sha256"] != two["x_sha256"]
    assert one["preprocess"] == {"scale": 1.0, "mean": [0.0], "std": [1.0]}
    assert one["x"] == "uint8[2, 3, 4, 3]"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, r"has no array y among \['x'\]"),
        ({"y": Y}, "has no array x"),
        ({"a": X}, "has no array x nor y"),
        ({"x": X, "y": [0, 1, 1]}, "x has 2 examples and y has 3"),
        ({"x": X, "y": [0, -3]}, r"y\[1\] is -3; number the classes from 0"),
        ({"x": X, "y": [0, 10**12]}, r"y\[1\] is 1000000000000, which is no class index"),
        ({"x": X, "y": [0.0, 1.0]}, "y is float64"),
        ({"x": X, "y": [[0], [1]]}, r"y is int64\[2, 1\]"),
        ({"x": X, "y": 1}, r"y is int64\[\]"),
        ({"x": X[:0], "y": Y[:0]}, "y is empty"),
        ({"x": X[:, :0], "y": Y}, "holds no value"),
        ({"x": np.zeros(2), "y": Y}, r"x is float64\[2\]"),
        ({"x": 1.0, "y": Y}, r"x is float64\[\]"),
        ({"x": X.astype(complex), "y": Y}, "x is complex128"),
        ({"x": [["a"], ["b"]], "y": Y}, "x is <U1"),
        ({"x": X, "y": Y, "classes": ["only"]}, "classes has 1 names, but y goes up to 1"),
        ({"x": X, "y": Y, "classes": [1, 2]}, "classes is int64"),
        ({"x": np.array([{}, []], object), "y": Y}, "cannot be read as plain arrays"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_the_fix(tmp_path, arrays, message):
    with pytest.raises(DatasetError, match=message) as caught:
        Npz(save(tmp_path, **arrays))
    assert "data.npz: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pickle_inside_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = save(tmp_path, x=np.array([[Trap()], [Trap()]], object), y=Y)
    with pytest.raises(DatasetError):
        Npz(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("damage", ["cut off", "flipped", "empty", "text"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = save(tmp_path, x=np.random.default_rng(0).random((2, 500)), y=Y)
    good = path.read_bytes()
    middle = len(good) // 2
    path.write_bytes(
        {
            "cut off": good[:middle],
            "flipped": good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :],
            "empty": b"",
            "text": b"x,y\n1,2\n",
        }[damage]
    )
    with pytest.raises(DatasetError, match=r"data\.npz: cannot be read") as caught:
        Npz(path)
    assert "\n" not in str(caught.value)


def test_a_single_array_is_no_data_set(tmp_path):
    path = tmp_path / "x.npz"
    with path.open("wb") as file:
        np.save(file, X)
    with pytest.raises(DatasetError, match=r"x\.npz: a single array"):
        Npz(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(DatasetError, match=r"gone\.npz: no such file"):
        Npz(tmp_path / "gone.npz")


@pytest.mark.parametrize("fields", [{"std": (0.0,)}, {"mean": (1.0, 2.0)}, {"scale": 0.0}])
def test_normalization_that_does_not_fit(tmp_path, fields):
    with pytest.raises(ConfigError):
        Npz(save(tmp_path, x=X, y=Y), **fields)

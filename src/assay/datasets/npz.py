"""Arrays saved with ``numpy.savez``: data for models of any input shape."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.datasets.base import Example
from assay.datasets.identity import sha256_of
from assay.datasets.normalization import check_normalization, normalize
from assay.errors import DatasetError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

# Far above any classifier's: keeps values that are no labels from making a list as long.
MAX_CLASSES = 1_000_000


class Npz:
    """Examples from a ``.npz`` file.

    The file holds ``x`` (numeric, [N, H, W, C] or [N, ...]), ``y`` (class indices from 0, [N]) and
    optionally ``classes`` (names, one for each class; else the names are "0", "1", ...).
    ``Example.data`` is float32 [...]: ``(x * scale - mean) / std``, where mean and std hold one
    value or one for each index of the last axis. Raises DatasetError for a file that cannot be
    used, ConfigError for values that do not fit it.
    """

    def __init__(
        self,
        path: Path | str,
        scale: float = 1.0,
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
    ) -> None:
        path = Path(path)
        arrays = _load(path)
        labels = _labels(path, arrays["y"])
        self._x = _data(path, arrays["x"], len(labels))
        check_normalization(scale, mean, std, self._x.shape[-1])
        self.name = path.stem
        self.classes = _classes(path, arrays.get("classes"), max(labels))
        self.ids = tuple(str(index) for index in range(len(labels)))
        self.labels = labels
        self._normalization = (scale, mean, std)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Example:
        data = normalize(self._x[index].astype("float32"), *self._normalization)
        return Example(self.ids[index], data, self.labels[index])

    def facts(self) -> dict[str, Any]:
        """Return name, samples, preprocess, sha256 of ids and labels, and sha256 of ``x``."""
        import numpy as np

        scale, mean, std = self._normalization
        return {
            "name": self.name,
            "samples": len(self),
            "preprocess": {"scale": scale, "mean": list(mean), "std": list(std)},
            "sha256": sha256_of(self.ids, self.labels),
            "x": f"{self._x.dtype}{list(self._x.shape)}",
            "x_sha256": hashlib.sha256(np.ascontiguousarray(self._x).data).hexdigest(),
        }


def _load(path: Path) -> dict[str, Array]:
    import numpy as np

    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DatasetError(f"{path}: a single array; save x and y with numpy.savez")
            missing = sorted({"x", "y"} - set(archive.files))
            if missing:
                raise DatasetError(
                    f"{path}: has no array {' nor '.join(missing)} among {archive.files}; "
                    "save with numpy.savez(file, x=..., y=...)"
                )
            return {key: archive[key] for key in ("x", "y", "classes") if key in archive.files}
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file; check the path") from error
    except DatasetError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"{path}: cannot be read as plain arrays ({reason}); save it anew with numpy.savez"
        ) from error


def _labels(path: Path, y: Array) -> tuple[int, ...]:
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise DatasetError(
            f"{path}: y is {y.dtype}{list(y.shape)}; save class indices as integers of shape [N]"
        )
    if not len(y):
        raise DatasetError(f"{path}: y is empty; save at least one example")
    if y.min() < 0:
        raise DatasetError(
            f"{path}: y[{int(y.argmin())}] is {int(y.min())}; number the classes from 0"
        )
    if y.max() >= MAX_CLASSES:
        raise DatasetError(
            f"{path}: y[{int(y.argmax())}] is {int(y.max())}, which is no class index; "
            "number the classes from 0"
        )
    return tuple(int(label) for label in y)


def _data(path: Path, x: Array, samples: int) -> Array:
    if x.ndim < 2 or x.dtype.kind not in "biuf":
        raise DatasetError(
            f"{path}: x is {x.dtype}{list(x.shape)}; save numbers of shape [N, ...], "
            "for images [N, H, W, C]"
        )
    if len(x) != samples:
        raise DatasetError(
            f"{path}: x has {len(x)} examples and y has {samples}; save one label for each example"
        )
    if not x.size:
        raise DatasetError(f"{path}: x has shape {list(x.shape)}, which holds no value")
    return x


def _classes(path: Path, names: Array | None, highest: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(label) for label in range(highest + 1))
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DatasetError(
            f"{path}: classes is {names.dtype}{list(names.shape)}; save names as a list of text"
        )
    if len(names) <= highest:
        raise DatasetError(
            f"{path}: classes has {len(names)} names, but y goes up to {highest}; name every class"
        )
    return tuple(str(name) for name in names)

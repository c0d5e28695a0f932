"""Reading and writing .npy files for the command line."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt


def load_array(path: Path) -> npt.NDArray[Any]:
    """Load one array; InputError if the file is missing or is no .npy file of plain numbers."""
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a .npy file") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is not a .npy file of numbers; save it with np.save") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; give one .npy file for each input")
    return array


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Save one array atomically; ResultsError if the path cannot be written."""
    import numpy as np

    from assay.lab.store import write_atomically

    buffer = BytesIO()
    np.save(buffer, array)
    write_atomically(path, buffer.getvalue())

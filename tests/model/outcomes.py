"""How tests look at a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.errors import ModelError
from assay.model.reader import read


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged: ")
    assert "\n" not in message
    return message

"""Conversions that TVM's importer lacks or does otherwise than LiteRT, a family a module."""

from assay.compiler.frontend.ops import (
    arithmetic,
    blocks,
    detection,
    movement,
    padding,
    pooling,
    products,
    resize,
    selection,
)
from assay.compiler.frontend.site import Convert

CONVERTERS: dict[str, Convert] = {
    **arithmetic.CONVERTERS,
    **blocks.CONVERTERS,
    **detection.CONVERTERS,
    **movement.CONVERTERS,
    **padding.CONVERTERS,
    **pooling.CONVERTERS,
    **products.CONVERTERS,
    **resize.CONVERTERS,
    **selection.CONVERTERS,
}
"""Operator -> its conversion; operators that are not here are left to the importer."""

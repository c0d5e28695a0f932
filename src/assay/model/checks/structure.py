"""Whether bytes are a well-formed FlatBuffer of the TFLite schema.

After :func:`check_structure` every offset, length and enumeration that the schema describes can be
followed without leaving the file. Alignment is not checked: CPUs that assay knows read anything.
Format: FlatBuffers internals, https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

from struct import Struct

from assay.model.damage import Damage
from assay.model.schema import TABLES, UNIONS, Field

_U16, _I32, _U32 = Struct("<H"), Struct("<i"), Struct("<I")
_VTABLE_HEADER = 4  # its own size and that of the table, before the first slot

# Writers share a string or an empty buffer here and there. A file in which the same bytes stand for
# much more than themselves is made to keep its reader busy: nested vectors multiply.
_SHARING_LIMIT = 8


def check_structure(data: bytes) -> None:
    """Raise Damage unless all tables, vectors and strings of the model lie within the bytes.

    The schema's tables do not contain themselves, which bounds how deep a file can nest.
    """
    _Checker(data).table("Model", 0)


class _Checker:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.budget = _SHARING_LIMIT * len(data)

    def table(self, name: str, reference: int) -> None:
        """Check the table that the offset at ``reference`` points to, and all below it."""
        start = self.follow(reference, name)
        vtable = start - self.number(_I32, start, name)
        slots_end = vtable + self.number(_U16, vtable, name)
        table_size = self.number(_U16, vtable + 2, name)
        self.inside(vtable, slots_end - vtable, name)
        self.inside(start, table_size, name)
        if slots_end - vtable < _VTABLE_HEADER or (slots_end - vtable) % 2 or table_size < 4:
            raise Damage(f"the layout of a {name} is impossible")
        self.spend(table_size, name)
        offsets = []
        for slot, field in enumerate(TABLES.get(name, ())):
            where = vtable + _VTABLE_HEADER + 2 * slot
            offset = self.number(_U16, where, name) if where + 2 <= slots_end else 0
            length = field.size if field.kind == "number" else 4
            if field.kind != "unused" and offset and not 4 <= offset <= table_size - length:
                raise Damage(f"{name}.{field.name} lies outside of its table")
            if not offset and field.required:
                raise Damage(f"a {name} lacks its {field.name}")
            offsets.append(start + offset if offset else 0)
        for slot, field in enumerate(TABLES.get(name, ())):
            if offsets[slot]:
                self.field(f"{name}.{field.name}", field, offsets[slot], offsets[slot - 1])

    def field(self, name: str, field: Field, at: int, before: int) -> None:
        if field.kind == "number":
            if field.limit is not None and self.data[at] >= field.limit:
                raise Damage(
                    f"{name} is {self.data[at]}, and only 0 to {field.limit - 1} mean something"
                )
        elif field.kind == "text":
            self.text(name, at)
        elif field.kind == "vector":
            self.vector(name, at, field.size)
        elif field.kind == "tables":
            start, count = self.vector(name, at, 4)
            for index in range(count):
                self.table(field.table, start + 4 * index)
        elif field.kind == "table":
            self.table(field.table, at)
        elif field.kind == "union":
            kind = self.data[before] if before else 0
            if kind:  # a member that is younger than this schema is known by its frame only
                self.table(UNIONS[field.table].get(kind, field.table), at)

    def text(self, name: str, at: int) -> None:
        start, length = self.vector(name, at, 1)
        self.inside(start, length + 1, name)
        if self.data[start + length] != 0:
            raise Damage(f"{name} does not end where it should")
        try:
            self.data[start : start + length].decode("utf-8")
        except UnicodeDecodeError as error:
            raise Damage(f"{name} is no valid UTF-8") from error

    def vector(self, name: str, at: int, element: int) -> tuple[int, int]:
        """Check a vector and return where its elements start and how many there are."""
        where = self.follow(at, name)
        count = self.number(_U32, where, name)
        self.inside(where + 4, count * element, name)
        self.spend(4 + (count * element if element > 1 else 0), name)
        return where + 4, count

    def follow(self, reference: int, name: str) -> int:
        distance = self.number(_U32, reference, name)
        if distance == 0:
            raise Damage(f"the offset of a {name} is zero")
        return reference + distance

    def number(self, kind: Struct, at: int, name: str) -> int:
        self.inside(at, kind.size, name)
        return int(kind.unpack_from(self.data, at)[0])

    def inside(self, at: int, length: int, name: str) -> None:
        if at < 0 or length < 0 or at + length > self.size:
            raise Damage(f"a {name} lies outside of the file, which may have been cut short")

    def spend(self, amount: int, name: str) -> None:
        self.budget -= amount
        if self.budget < 0:
            raise Damage(f"its tables overlap: a {name} is used over and over")

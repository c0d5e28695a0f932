"""A TFLite file as objects, made only if the bytes are a well-formed FlatBuffer of the schema.

Every offset, length and enumeration is followed once, and none leaves the file: what comes out can
be used without further thought for the bytes. Alignment is not checked: CPUs that assay knows read
anything. Format: FlatBuffers internals, https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import TYPE_CHECKING, Any

from assay.model.damage import Damage
from assay.model.schema import TABLES, UNIONS, Field

_I32, _U32, _VTABLE = Struct("<i"), Struct("<I"), Struct("<HH")

# Writers share a string or an empty buffer here and there. A file in which the same bytes stand for
# much more than themselves is made to keep its reader busy: nested vectors multiply.
_SHARING_LIMIT = 8

_ABSENT = {
    table: {field.name: field.default for field in fields} for table, fields in TABLES.items()
}


class Table:
    """One table: the fields of its ``kind`` in ``assay.model.schema`` are its attributes.

    Numbers are int, float or bool, texts str, vectors of numbers memoryviews, vectors of tables
    lists. A field that the file leaves out is the schema's default, empty, or None for a table.
    """

    def __init__(self, kind: str) -> None:
        self.__dict__ = dict(_ABSENT.get(kind, {}), kind=kind)

    if TYPE_CHECKING:

        def __getattr__(self, field: str) -> Any: ...


def parse(data: bytes) -> Table:
    """Return the model that bytes hold, with all that is below it.

    Raises Damage unless all tables, vectors and strings lie within the bytes. The schema's tables
    do not contain themselves, which bounds how deep a file can nest.
    """
    return _Parser(data).table("Model", 0)


class _Parser:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.view = memoryview(data)
        self.size = len(data)
        self.budget = _SHARING_LIMIT * len(data)
        self.known: dict[tuple[str, int], tuple[Table, int]] = {}

    def table(self, kind: str, reference: int) -> Table:
        """Return the table that the offset at ``reference`` points to, and all below it."""
        start = self.follow(reference, kind)
        if (kind, start) in self.known:
            table, cost = self.known[kind, start]
            self.spend(cost, kind)
            return table
        before = self.budget
        table = Table(kind)
        fields = TABLES.get(kind, ())
        offsets, size = self.layout(kind, start, len(fields))
        values = table.__dict__
        previous = 0
        for field, offset in zip(fields, offsets, strict=True):
            if offset and field.kind != "unused":
                if not 4 <= offset <= size - (field.size if field.kind == "number" else 4):
                    raise Damage(f"{kind}.{field.name} lies outside of its table")
                previous = values[field.name] = self.value(kind, field, start + offset, previous)
            elif field.required:
                raise Damage(f"a {kind} lacks its {field.name}")
            else:
                previous = 0
        self.known[kind, start] = table, before - self.budget
        return table

    def layout(self, kind: str, start: int, slots: int) -> tuple[tuple[int, ...], int]:
        """Return the offsets of that many slots of a table, 0 where it lacks one, and its size."""
        self.inside(start, 4, kind)
        vtable = start - _I32.unpack_from(self.data, start)[0]
        self.inside(vtable, _VTABLE.size, kind)
        length, size = _VTABLE.unpack_from(self.data, vtable)
        self.inside(vtable, length, kind)
        self.inside(start, size, kind)
        if length < _VTABLE.size or length % 2 or size < 4:
            raise Damage(f"the layout of a {kind} is impossible")
        self.spend(size, kind)
        present = min(slots, (length - _VTABLE.size) // 2)
        found = unpack_from(f"<{present}H", self.data, vtable + _VTABLE.size)
        return found + (0,) * (slots - present), size

    def value(self, kind: str, field: Field, at: int, before: Any) -> Any:
        """Return the field that lies there; ``before`` is the value of the slot before it."""
        if field.kind == "number":
            if field.limit is not None and self.data[at] >= field.limit:
                raise Damage(
                    f"{kind}.{field.name} is {self.data[at]}, and only 0 to {field.limit - 1} mean "
                    "something"
                )
            return unpack_from(f"<{field.format}", self.data, at)[0]
        if field.kind == "table":
            return self.table(field.table, at)
        if field.kind == "union":  # a member that is younger than this schema is an empty table
            member = UNIONS[field.table].get(before, field.table)
            return self.table(member, at) if before else None
        name = f"{kind}.{field.name}"
        if field.kind == "text":
            return self.text(name, at)
        start, count = self.vector(name, at, field.size)
        if field.kind == "tables":
            return [self.table(field.table, start + 4 * index) for index in range(count)]
        values = self.view[start : start + count * field.size]
        return values if field.format == "B" else values.cast(field.format)  # type: ignore[call-overload]

    def text(self, name: str, at: int) -> str:
        start, length = self.vector(name, at, 1)
        self.inside(start, length + 1, name)
        if self.data[start + length] != 0:
            raise Damage(f"{name} does not end where it should")
        try:
            return self.data[start : start + length].decode("utf-8")
        except UnicodeDecodeError as error:
            raise Damage(f"{name} is no valid UTF-8") from error

    def vector(self, name: str, at: int, element: int) -> tuple[int, int]:
        """Return where the elements of a vector start and how many there are."""
        where = self.follow(at, name)
        self.inside(where, 4, name)
        count: int = _U32.unpack_from(self.data, where)[0]
        self.inside(where + 4, count * element, name)
        self.spend(4 + (count * element if element > 1 else 0), name)
        return where + 4, count

    def follow(self, reference: int, name: str) -> int:
        self.inside(reference, 4, name)
        distance: int = _U32.unpack_from(self.data, reference)[0]
        if distance == 0:
            raise Damage(f"the offset of a {name} is zero")
        return reference + distance

    def inside(self, at: int, length: int, name: str) -> None:
        if at < 0 or length < 0 or at + length > self.size:
            raise Damage(f"a {name} lies outside of the file, which may have been cut short")

    def spend(self, amount: int, name: str) -> None:
        self.budget -= amount
        if self.budget < 0:
            raise Damage(f"its tables overlap: a {name} is used over and over")

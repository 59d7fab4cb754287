"""What happens to stored records when the layout changes: fields move by name."""

from __future__ import annotations

from agentic.arrays import Layout, Records
from agentic.errors import LayoutError


def migrate(rows: Records, layout: Layout, /) -> Records:
    """Copy records into a new layout, field by field; fields that are gone are dropped.

    New fields start at their defaults.

    Args:
        rows: Shape (n,), structured in the old layout.
        layout: The new one.

    Raises:
        LayoutError: A field of the same name has another dtype or shape.
    """
    fresh = layout.new(len(rows))
    for name in layout.dtype.names or ():
        if name not in (rows.dtype.names or ()):
            continue
        old, new = rows.dtype[name], layout.dtype[name]
        if old != new:
            raise LayoutError(
                f"stored field {name!r} is {old}, the layout wants {new}: give the field a new name, or"
                " delete the stored subjects",
                value=str(old),
                expected=str(new),
            )
        fresh[name] = rows[name]
    return fresh

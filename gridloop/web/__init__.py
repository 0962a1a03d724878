"""People: the faces of the loop. Views parse, call one action or a few queries, and show; no rule lives here."""

FACES = (
    ("shell", ""),
    ("account", ""),
    ("console", "console/"),
    ("map", "map/"),
    ("field", "field/"),
    ("portal", "portal/"),
    ("wall", "wall/"),
)
"""Each face: its package here, and the address below which it lives."""

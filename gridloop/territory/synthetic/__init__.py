"""Maps that we invent, labelled synthetic wherever they go: `drawing` a district from its official names and a plan,
`places` the roads, compounds and landmarks in it, `areas` a district from points with an area name.
"""

from gridloop.territory.synthetic.areas import areas_from_points
from gridloop.territory.synthetic.drawing import (
    Drawing,
    DrawnRegion,
    NamedRegion,
    Plan,
    draw_district,
    read_names,
    read_plan,
)
from gridloop.territory.synthetic.places import Words, draw_places, read_words

__all__ = [
    "Drawing",
    "DrawnRegion",
    "NamedRegion",
    "Plan",
    "Words",
    "areas_from_points",
    "draw_district",
    "draw_places",
    "read_names",
    "read_plan",
    "read_words",
]

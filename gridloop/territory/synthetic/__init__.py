"""Maps that we invent, labelled synthetic wherever they go: `drawing` a district from its official names and a plan,
`places` the roads, compounds and landmarks in it, `scenery` its roads, waters, parks and houses, `components` the
numbered things in its streets, `areas` a district from points with an area name.
"""

from gridloop.territory.synthetic.areas import areas_from_points
from gridloop.territory.synthetic.components import DrawnComponent, draw_components
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
from gridloop.territory.synthetic.scenery import DrawnScenery, draw_scenery

__all__ = [
    "Drawing",
    "DrawnComponent",
    "DrawnRegion",
    "DrawnScenery",
    "NamedRegion",
    "Plan",
    "Words",
    "areas_from_points",
    "draw_components",
    "draw_district",
    "draw_places",
    "draw_scenery",
    "read_names",
    "read_plan",
    "read_words",
]

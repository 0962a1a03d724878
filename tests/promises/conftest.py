"""What the promises share."""

from tests.promises.world import world

__all__ = ["world"]

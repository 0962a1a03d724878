"""The web process: pages and API behind one front, which takes in single reports by itself."""

from __future__ import annotations

from config.wsgi import application as pages
from gridloop.gateways.api.front import Front


def application(threads: int) -> Front:
    """What the server runs in each web process, with so many threads for pages."""
    return Front(pages, threads=threads)

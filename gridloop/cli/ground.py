"""What a command stands on: the settings, Django, a database that runs and is up to date, the files we ship."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gridloop
from gridloop.cli.words import is_chinese
from gridloop.kernel.errors import Mistakes
from gridloop.kernel.postgres import Cluster, check_server

_MIGRATING = 0x47524944  # "GRID": one process migrates, the others wait


def settings() -> Any:
    """The deployment's settings. Loads nothing of the product, so it is quick."""
    from django.conf import settings as loaded

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    return loaded


def product() -> Any:
    """The whole product, loaded and speaking the language of the terminal. Returns the settings.

    Call it before importing anything that has tables.
    """
    import django
    from django.utils import translation

    loaded = settings()
    django.setup()
    translation.activate("zh-hans" if is_chinese() else "en")
    return loaded


def data() -> Path:
    """The data folder; made if it is not there yet."""
    folder: Path = settings().GRIDLOOP_DATA
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def embedded() -> Cluster | None:
    """The embedded server of this deployment, or None if DATABASE_URL names an outside one."""
    loaded = settings()
    return Cluster(loaded.GRIDLOOP_DATA) if loaded.EMBEDDED else None


def url() -> str:
    """The address of this deployment's database."""
    cluster = embedded()
    return cluster.url() if cluster is not None else os.environ["DATABASE_URL"]


@contextmanager
def database(*, migrated: bool = True) -> Iterator[None]:
    """A database that runs, keeps its promises and has today's tables. One that we had to start is stopped again."""
    cluster = embedded()
    started = cluster.start() if cluster is not None else False
    try:
        if wrong := check_server(url()):
            raise Mistakes(wrong)
        if migrated:
            migrate()
        yield
    finally:
        if started and cluster is not None:
            cluster.stop()


def migrate() -> None:
    """Load the product and bring its tables up to date. Of several machines that start at once, one does it."""
    product()
    from django.core.management import call_command
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATING])
        try:
            call_command("migrate", verbosity=0, interactive=False)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATING])
            cursor.execute("RESET lock_timeout")


def shipped(name: str) -> Path:
    """A folder that comes with the product (``packs``, ``districts``), in a checkout or in an installed wheel."""
    package = Path(gridloop.__file__).parent
    beside = package.parent / name
    return beside if beside.is_dir() else package / "shipped" / name

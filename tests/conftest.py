"""What all tests share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import setup_databases, teardown_databases
from django.utils import translation
from pytest_django import DjangoDbBlocker

from tests.deployment import Deployment

MIGRATED = {"django_migrations", "django_content_type", "auth_permission"}
"""Tables that the migrations fill."""


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest,
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_blocker: DjangoDbBlocker,
    django_db_keepdb: bool,
    django_db_createdb: bool,
) -> Iterator[None]:
    """The test database. pytest-django's own makes one only if it sees a test with a mark of its own."""
    options = {"verbosity": request.config.option.verbose, "keepdb": django_db_keepdb and not django_db_createdb}
    with django_db_blocker.unblock():
        made = setup_databases(interactive=False, aliases={"default": None}, **options)
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            # Threads that live as long as their process (the intake's) still hold connections.
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            teardown_databases(made, **options)


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database in which transactions really commit: for threads, second connections and other processes.

    Afterwards every table is emptied as if by replication, because the record of events refuses to be emptied.
    """
    with django_db_blocker.unblock():
        yield
        connection.rollback() if not connection.get_autocommit() else None
        _empty_tables()


def _empty_tables() -> None:
    with connection.cursor() as cursor:
        tables = [t for t in connection.introspection.table_names(cursor) if t not in MIGRATED]
        cursor.execute(" UNION ALL ".join(f"(SELECT '{t}' FROM \"{t}\" LIMIT 1)" for t in tables))
        filled = [row[0] for row in cursor.fetchall()]
        cursor.execute("SET session_replication_role = replica")
        try:
            for table in filled:
                cursor.execute(f'DELETE FROM "{table}"')
        finally:
            cursor.execute("SET session_replication_role = DEFAULT")


@pytest.fixture(autouse=True)
def _chinese_first() -> Iterator[None]:
    """No test speaks the language that a request of the test before it asked for."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _fresh_map() -> None:
    """No test answers from the map or the standard of the test before it."""
    from gridloop.standard import queries as standard
    from gridloop.territory import queries

    queries.forget_map()
    standard.forget()


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """A deployment of its own, far from the database of this run; whatever it leaves behind is ended."""
    folder = Path(tempfile.mkdtemp(prefix="gridloop-up-"))
    folder.chmod(0o711)
    made = Deployment(folder)
    yield made
    made.clear()
    shutil.rmtree(folder, ignore_errors=True)


from tests.leaks import pytest_runtest_logreport, pytest_sessionfinish, pytest_terminal_summary  # noqa: E402, F401

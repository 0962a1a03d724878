"""The database of one test run: the embedded PostgreSQL in a temporary folder, unless DATABASE_URL names another.

Loaded with ``-p tests.database`` because Django reads its settings before any conftest. The controlling process starts
the server and ends it; the workers of pytest-xdist inherit DATABASE_URL and make a database each.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gridloop.kernel.postgres import Cluster
from gridloop.kernel.postgres.cluster import SUPERUSER

_owner = os.getpid()
_ours: list[Path] = []
_cluster: Cluster | None = None

if "GRIDLOOP_DATA" not in os.environ:
    _ours.append(Path(tempfile.mkdtemp(prefix="gridloop-test-")))
    _ours[0].chmod(0o711)  # run by root, the server's unprivileged account has to pass through
    os.environ["GRIDLOOP_DATA"] = str(_ours[0])
if not os.environ.get("DATABASE_URL"):
    _cluster = Cluster(Path(os.environ["GRIDLOOP_DATA"]))
    os.environ["DATABASE_URL"] = _cluster.url(role=SUPERUSER)


def pytest_configure(config: pytest.Config) -> None:
    if _cluster is not None:
        _cluster.start()


@atexit.register  # also when the run ends before pytest has begun, by a mistake in a conftest
def _clear() -> None:
    if os.getpid() != _owner:  # a fork of the run, such as a test makes
        return
    if _cluster is not None:
        _cluster.stop()
    for folder in _ours:
        shutil.rmtree(folder, ignore_errors=True)

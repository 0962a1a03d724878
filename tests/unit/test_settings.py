"""The environment is read as a whole, and all that is wrong with it is said at once."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from config import environment


def test_an_empty_environment_is_a_safe_deployment_on_this_machine() -> None:
    values = environment.read({})
    assert values["GRIDLOOP_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert values["GRIDLOOP_DEBUG"] is False
    assert values["GRIDLOOP_HTTPS"] is False
    assert values["DATABASE_URL"] == ""


def test_every_mistake_is_told_at_once_with_its_place_and_the_way_out() -> None:
    with pytest.raises(environment.WrongSettings) as wrong:
        environment.read(
            {
                "GRIDLOOP_HOSTS": "*",
                "GRIDLOOP_DEBUG": "perhaps",
                "GRIDLOOP_ZONE": "Mars/Olympus",
                "GRIDLOOP_SECRET_KEY": "short",
                "GRIDLOOP_SESSION_SECONDS": "-1",
                "GRIDLOOP_LOG_LEVEL": "LOUD",
                "DATABASE_URL": "mysql://root:hidden@db/x",
                "GRIDLOOP_HOST": "typo.example",
            }
        )
    assert {m.place for m in wrong.value.mistakes} == {
        "GRIDLOOP_HOSTS", "GRIDLOOP_DEBUG", "GRIDLOOP_ZONE", "GRIDLOOP_SECRET_KEY", "GRIDLOOP_SESSION_SECONDS",
        "GRIDLOOP_LOG_LEVEL", "DATABASE_URL", "GRIDLOOP_HOST",
    }  # fmt: skip
    assert all(m.instead.zh and m.instead.en for m in wrong.value.mistakes)
    assert "hidden" not in str(wrong.value), "a password in an address is not repeated"


def test_a_name_that_others_can_reach_asks_for_https_unless_told_otherwise() -> None:
    behind = {"GRIDLOOP_HOSTS": "grid.example.gov.cn", "GRIDLOOP_BEHIND_PROXY": "yes"}
    assert environment.read(behind)["GRIDLOOP_HTTPS"] is True
    with pytest.raises(environment.WrongSettings, match="GRIDLOOP_BEHIND_PROXY"):
        environment.read({"GRIDLOOP_HOSTS": "grid.example.gov.cn"})
    assert environment.read({"GRIDLOOP_HOSTS": "10.0.0.8", "GRIDLOOP_HTTPS": "no"})["GRIDLOOP_HTTPS"] is False


def test_a_database_address_becomes_djangos_words() -> None:
    words = environment.database("postgresql://grid:p%40ss@db.example:6432/loop?sslmode=require")
    assert (words["USER"], words["PASSWORD"], words["HOST"], words["PORT"], words["NAME"]) == (
        "grid", "p@ss", "db.example", "6432", "loop",
    )  # fmt: skip
    assert words["OPTIONS"]["sslmode"] == "require"
    socket = environment.database("postgresql:///loop?host=/run/pg&user=grid")
    assert (socket["HOST"], socket["USER"], socket["NAME"]) == ("/run/pg", "grid", "loop")


def test_the_signing_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    key = environment.secret_key(tmp_path / "data")
    assert len(key) >= 48
    assert environment.secret_key(tmp_path / "data") == key
    file = tmp_path / "data" / "secret.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [p.name for p in file.parent.iterdir()] == ["secret.key"]

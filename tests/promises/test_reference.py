"""The reference pages are what the program says, and every dependency is locked and explained."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_pages_of_commands_and_settings_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.reference", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_command_speaks_both_languages() -> None:
    page = (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8")
    for section in page.split("\n## ")[1:]:
        english, chinese = re.findall(r"```text\n(.*?)\n```", section, re.DOTALL)
        assert re.search("[一-鿿]", chinese), section.splitlines()[0]
        assert not re.search("[一-鿿]", english), section.splitlines()[0]


def declared() -> tuple[set[str], set[str]]:
    """The names in pyproject.toml: of the product (extras included) and of the tools."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [line for lines in project["project"].get("optional-dependencies", {}).values() for line in lines]
    return (
        {plain(line) for line in [*project["project"]["dependencies"], *extras]},
        {plain(line) for line in project["dependency-groups"]["dev"]},
    )


def plain(requirement: str) -> str:
    return re.split(r"[\[<>=!;~ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def locked(name: str) -> set[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {plain(line) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)}


def test_every_dependency_is_locked_with_its_hash() -> None:
    product, tools = declared()
    assert product <= locked("requirements.lock"), "run make lock"
    assert product | tools <= locked("requirements-dev.lock"), "run make lock"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_only_pinned_versions_with_hashes_and_names_no_place(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        assert re.match(r"[A-Za-z0-9._-]+(\[[^]]*\])?==\S+", block), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_every_dependency_is_explained() -> None:
    product, tools = declared()
    page = (ROOT / "docs/reference/dependencies.md").read_text(encoding="utf-8").lower()
    rows = {line.split("|")[1].split()[0] for line in page.splitlines() if line.startswith("| ")}
    assert product <= rows
    models = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-vision.txt").read_text(encoding="utf-8"), re.M)
    assert rows - {"package"} <= product | set(models), "a line for a package that is gone"
    assert not {tool for tool in tools if tool not in page}

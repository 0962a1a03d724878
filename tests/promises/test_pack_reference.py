"""What we publish about packs is what the product reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from gridloop.standard.rules.reference import published, schema_name

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference"
YAMLS = sorted(
    [*ROOT.glob("packs/*/*.yaml"), *ROOT.glob("packs/*/tests/*.yaml"), *ROOT.glob("districts/*/district.yaml")]
)


@pytest.mark.parametrize("name", list(published()))
def test_the_published_reference_is_the_one_the_format_makes(name: str) -> None:
    assert (REFERENCE / name).read_text("utf-8") == published()[name], "run: python -m gridloop.standard.publish"


@pytest.mark.parametrize("file", YAMLS, ids=lambda p: str(p.relative_to(ROOT)))
def test_an_editor_with_our_schema_finds_no_fault_in_a_shipped_file(file: Path) -> None:
    name = schema_name("tests/x" if file.parent.name == "tests" else file.name)
    schema = json.loads((REFERENCE / "schemas" / name).read_text("utf-8"))
    faults = Draft202012Validator(schema).iter_errors(yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader))
    assert [f"{list(f.path)}: {f.message}"[:200] for f in faults][:3] == []
    assert file.read_text("utf-8").startswith("# yaml-language-server: $schema=")

"""The published form of the pack format: schemas for editors and a page for people, both made from `format`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gridloop.standard.rules import format as fmt

PAGE = "pack-format.md"
FILES: dict[str, type[fmt.Strict]] = {
    **fmt.YAML_FILES,
    "tests/*.yaml": fmt.TestsFile,
    **fmt.TABLES,
    "district.yaml": fmt.DistrictFile,
    "units.csv": fmt.UnitRow,
}
_INTRO = """# The pack format

*Made from `gridloop/standard/rules/format.py` by `python -m gridloop.standard.publish`; do not edit by hand.*

A scenario pack is a folder of data that mirrors the loop. Every file below is needed, except where it says otherwise.
Unknown files, keys and columns are mistakes; every mistake of all files is told at once, with its place and what to
write instead. All texts are UTF-8.

**YAML is read strictly.** Anchors, aliases, tags and second documents are refused; a key written twice is a mistake;
a bare `no`, `on`, `yes`, `off` or a bare code with a leading zero must be put in quotes. A file may have 1 MB, a table
8 MB.

**Conditions** (`when`) are equalities on named facts: every fact that is named must equal one of its values. Of several
rules the first that fits wins, else the `default`. There is no expression language.

**Limits** are written `{ amount: 2, clock: work_hour }`, by one of the five clocks `urgent_hour` (紧急工作时),
`urgent_day` (紧急工作日), `work_hour` (工作时), `work_day` (工作日), `natural_day` (自然日).

**Case type keys** are `<pack>:<code>`, such as `urban:E0506`; for an older catalogue of the pack
`<pack>:<code>@<catalogue>`, such as `urban:E0406@cjt214-2007`.

**Forms** are files `forms/<name>.json`: JSON Schema 2020-12, an object, with no reference to another file. The title of
each field is Chinese, `x-title-en` is its English.
"""


def published() -> dict[str, str]:
    """Every file of the reference with its text: the page, and one JSON Schema for each YAML file."""
    texts = {PAGE: _page()}
    for file, model in FILES.items():
        if file.endswith(".yaml"):
            texts[f"schemas/{schema_name(file)}"] = (
                json.dumps(_schema(file, model), ensure_ascii=False, indent=2) + "\n"
            )
    return texts


def schema_name(file: str) -> str:
    """``dispatch.yaml`` -> ``dispatch.schema.json``; for all of tests/, ``tests.schema.json``."""
    return file.split("/")[0].removesuffix(".yaml") + ".schema.json"


def _schema(file: str, model: type[fmt.Strict]) -> dict[str, Any]:
    schema = model.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": f"Gridloop {file}"}


def _page() -> str:
    parts = [_INTRO]
    told: set[str] = set()
    for file, model in FILES.items():
        schema = model.model_json_schema()
        optional = " (optional)" if file in fmt.OPTIONAL_TABLES or file == "units.csv" else ""
        where = "districts/<code>/" if file in ("district.yaml", "units.csv") else ""
        parts.append(f"## `{where}{file}`{optional}\n\n{_described(schema)}{_table(schema)}")
        for name, definition in _used(schema):
            if name not in told:
                parts.append(f"### {name}\n\n{_described(definition)}{_table(definition)}")
            told.add(name)
    return "\n".join(parts)


def _described(schema: Mapping[str, Any]) -> str:
    text = " ".join(schema.get("description", "").split())
    return f"{text}\n\n" if text else ""


def _used(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, definition in sorted(schema.get("$defs", {}).items()):
        if name not in ("Bilingual", "Limit"):
            yield name, definition


def _table(schema: Mapping[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    rows = [
        f"| `{name}` | {_kind(field)} | {'yes' if name in needed else ''} | {_meaning(field)} |"
        for name, field in schema.get("properties", {}).items()
    ]
    return "\n".join(["| key | value | needed | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _meaning(field: Mapping[str, Any]) -> str:
    text = " ".join(field.get("description", "").split())
    default = field.get("default")
    if default not in (None, [], {}):
        text += f" Default: `{json.dumps(default, ensure_ascii=False)}`."
    return text.strip().replace("|", "\\|")


def _kind(field: Mapping[str, Any]) -> str:
    """The shape of a value in a few words."""
    if "$ref" in field:
        name = str(field["$ref"]).rsplit("/", 1)[-1]
        return {"Bilingual": "`{ zh: …, en: … }`", "Limit": "limit"}.get(name, name)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        kinds = dict.fromkeys(_kind(choice) for choice in field["anyOf"] if choice.get("type") != "null")
        return " or ".join(kinds)
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {}))}"
    if field.get("type") == "object":
        inner = field.get("additionalProperties")
        return f"keys with {_kind(inner)}" if isinstance(inner, dict) else "keys with values"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    kind = names.get(field.get("type", ""), "any")
    if examples := field.get("examples"):
        kind += f" such as `{examples[0]}`"
    bounds = [f"{word} {field[key]}" for key, word in _BOUNDS.items() if key in field]
    return f"{kind} ({', '.join(bounds)})" if bounds else kind


_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}

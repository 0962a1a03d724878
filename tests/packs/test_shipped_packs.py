"""The packs and districts that we ship hold together, and their limits are the published ones."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from gridloop.kernel.errors import Mistakes
from gridloop.standard.actions import check_district, check_packs, files_of
from gridloop.standard.rules import build, load_pack
from gridloop.standard.rules.standard import Standard

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "../shared/data/catalogue"
PACKS = sorted(p.parent for p in ROOT.glob("packs/*/pack.yaml"))
DISTRICTS = sorted(p.parent for p in ROOT.glob("districts/*/district.yaml"))
OURS = {"C0177", "C0282", "E0177", "E0178"}


@pytest.fixture(scope="module")
def urban() -> Standard:
    pack, _ = load_pack(files_of(ROOT / "packs/urban"), "urban")
    return build([(1, pack)], None)


@pytest.mark.parametrize("folder", PACKS, ids=lambda p: p.name)
def test_a_shipped_pack_has_no_mistake_and_leaves_nothing_untested(folder: Path) -> None:
    result = check_packs(folder)
    assert result.ok, "\n".join(map(str, result.mistakes[:20]))
    assert result.scenarios > 0
    assert all(done == all_ for done, all_ in result.coverage.values())


@pytest.mark.parametrize("folder", DISTRICTS, ids=lambda p: p.name)
def test_a_shipped_district_fits_its_packs(folder: Path) -> None:
    named = check_district(folder, PACKS)
    assert all(unit.synthetic == "yes" for unit in named.units)
    functions = {unit.function for unit in named.units}
    for name in named.district.packs:
        pack, _ = load_pack(files_of(ROOT / "packs" / name), name)
        routes = pack.dispatch.routes
        asked = {u.function for r in routes for u in (r.unit, *r.co_units, *([r.escalate_to] if r.escalate_to else []))}
        assert asked <= functions, f"nobody in {folder.name} does {asked - functions}"


def test_a_folder_that_is_not_there_is_told() -> None:
    with pytest.raises(Mistakes, match="nowhere"):
        files_of(ROOT / "packs/nowhere")


def test_the_same_digits_mean_different_things_in_the_two_vintages(urban: Standard) -> None:
    now, then = urban.case_type("urban:E0506"), urban.case_type("urban:E0506", "cjt214-2007")
    assert (now.name.zh, then.name.zh) == ("道路积水", "非机动车乱停放")
    assert then is urban.case_type("urban:E0506@cjt214-2007")
    assert (then.succeeded_by, then.automatic_filing) == ("urban:E0410", False)
    assert now.catalog_version != then.catalog_version


def test_every_common_type_knows_at_least_ten_everyday_words(urban: Standard) -> None:
    rich = [t for t in urban.case_types.values() if len(t.words) >= 10]
    assert len(rich) >= 60
    assert all(len(t.words) >= 3 for t in urban.case_types.values())


def test_no_sentence_is_longer_than_a_line_on_a_phone_screen_or_two(urban: Standard) -> None:
    for kind in urban.case_types.values():
        for condition in kind.conditions:
            assert len(condition.when.zh) <= 50
            assert len(condition.when.en) <= 160


needs_catalogue = pytest.mark.skipif(
    not CATALOGUE.is_dir(), reason="the reference catalogue (../shared/data/catalogue) is not here"
)


def _rows(name: str) -> list[dict[str, str]]:
    with (CATALOGUE / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _code(row: dict[str, str]) -> str:
    return ("C" if row["kind"] == "component" else "E") + row["big_code"] + row["small_code"]


@needs_catalogue
def test_both_vintages_are_complete(urban: Standard) -> None:
    rows = _rows("component_event_catalog.csv")
    old = {_code(r): r["small_name"] for r in rows if r["vintage"] == "CJ/T 214"}
    new = {_code(r) for r in rows if r["vintage"] != "CJ/T 214"} - {"C0197"}  # a stop named after that city's district
    assert {t.code: t.name.zh for t in urban.older.values()} == old
    assert {t.code for t in urban.case_types.values()} == new | OURS | {"E0409"}
    provenance = {t.code: t.provenance for t in urban.case_types.values()}
    assert {c for c, p in provenance.items() if p == "gridloop"} == OURS
    assert provenance["E0409"] == "inferred"


@needs_catalogue
def test_every_limit_is_the_published_one_and_every_sentence_is_ours(urban: Standard) -> None:
    published: dict[str, list[tuple[Decimal, str]]] = {}
    sentences = set()
    for row in _rows("filing_standards_reference.csv"):
        published.setdefault(_code(row), []).append((Decimal(row["limit_value"]), row["limit_type"]))
        sentences.add(row["filing_condition"])
    for kind in urban.case_types.values():
        if kind.code in published:
            limits = [(Decimal(c.limit.amount), str(c.limit.clock)) for c in kind.conditions]
            assert limits == published[kind.code], kind.code
        for condition in kind.conditions:
            assert len(condition.when.zh) < 12 or condition.when.zh not in sentences


@pytest.mark.skipif(
    not (ROOT / "../shared/data/us311").is_dir(), reason="the service requests (../shared/data/us311) are not here"
)
def test_every_name_in_the_stream_of_three_cities_means_one_of_our_types() -> None:
    import gzip

    pack, _ = load_pack(files_of(ROOT / "packs/city311"), "city311")
    standard = build([(1, pack)], None)
    with gzip.open(ROOT / "../shared/data/us311/stream.csv.gz", "rt", encoding="utf-8") as file:
        names = {(row["city"], row["type"]) for row in csv.DictReader(file)}
    assert [name for name in names if standard.alias(*name) is None] == []
    assert standard.alias("baltimore", "SW-Dirty Alley") == "city311:E0203"
    assert standard.alias("los_angeles", "Bulky Items") == "city311:E0101"

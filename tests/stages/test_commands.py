"""The commands read their arguments and call the product; what they say and return is tested here."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from gridloop import cli
from gridloop.cases.models import Case
from gridloop.discover.models import Report
from gridloop.people.models import Membership, Person, Unit
from gridloop.territory.models import Region

ROOT = Path(__file__).resolve().parents[2]
DISTRICT = ROOT / "districts" / "410104"
UNITS = "code,name,kind,parent\noffice,网格中心,district,\nroads,道路养护所,department,office\n"


@pytest.fixture(autouse=True)
def in_english(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_units_and_people_are_imported_once_and_new_people_get_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    units = written(tmp_path, "units.csv", UNITS)
    assert cli.run(["import", "units", units]) == cli.OK
    assert "added" in capsys.readouterr().out
    assert cli.run(["import", "units", units]) == cli.OK
    assert Unit.objects.count() == 2

    people = written(tmp_path, "people.csv", "username,name,role,unit\nwang,王一,department_handler,roads\n")
    codes = tmp_path / "codes.csv"
    assert cli.run(["import", "people", people, "--codes", str(codes)]) == cli.OK
    assert (Person.objects.count(), Membership.objects.count()) == (1, 1)
    assert codes.stat().st_mode & 0o777 == 0o600
    [row] = csv.DictReader(codes.open(encoding="utf-8"))
    assert row["username"] == "wang"
    assert row["code"] not in capsys.readouterr().out


def test_every_mistake_of_a_file_is_told_and_nothing_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = written(tmp_path, "units.csv", "code,name,kind,parent\na,,district,\nb,乙,palace,nowhere\n")
    assert cli.run(["import", "units", bad]) == cli.MISTAKES
    told = capsys.readouterr().err
    assert told.count("\t") >= 2 * 3, "place, what is wrong, what to write instead, for each of several mistakes"
    assert Unit.objects.count() == 0


def test_regions_need_a_datum_and_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    square = [[113.6, 34.7], [113.7, 34.7], [113.7, 34.8], [113.6, 34.8], [113.6, 34.7]]
    feature = {
        "type": "Feature",
        "properties": {"code": "410199", "name": "试验区"},
        "geometry": {"type": "Polygon", "coordinates": [square]},
    }
    file = written(tmp_path, "map.geojson", json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert cli.run(["import", "regions", file]) == cli.USAGE
    assert "--datum" in capsys.readouterr().err
    assert cli.run(["import", "regions", file, "--datum", "wgs84", "--dry-run"]) == cli.OK
    assert Region.objects.count() == 0
    assert cli.run(["import", "regions", file, "--datum", "wgs84"]) == cli.OK
    assert Region.objects.filter(code="410199").exists()


def test_reports_are_imported_once_and_rejected_rows_have_a_file_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["packs", "activate"]) == cli.OK
    rows = ["编号,内容,时间"]
    rows += [f"{n},路口的井盖破了一个大洞第{n}处,2026-03-0{n} 08:00:00" for n in range(1, 6)]
    rows += ["6,没有时间格式的一条,昨天"]
    table = written(tmp_path, "messages.csv", "\n".join(rows) + "\n")
    mapping = written(
        tmp_path,
        "mapping.yaml",
        "gridloop_mapping: 1\nclient: old-system\nzone: Asia/Shanghai\n"
        "fields:\n  key: 编号\n  text: 内容\n  reported_at: 时间\n  channel: { value: web }\n",
    )
    assert cli.run(["import", "reports", table, "--mapping", mapping, "--dry-run"]) == cli.REJECTED
    assert Report.objects.count() == 0
    for _ in range(2):
        assert cli.run(["import", "reports", table, "--mapping", mapping]) == cli.REJECTED
        assert Report.objects.count() == 5
    told = capsys.readouterr()
    assert "messages.rejects.csv" in told.out
    assert "时间" in told.err
    assert (tmp_path / "messages.rejects.csv").exists()


def test_cases_are_exported_without_what_people_wrote_unless_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cases.csv", "cases.xlsx"):
        assert cli.run(["export", "cases", str(tmp_path / name)]) == cli.OK
        assert cli.run(["export", "cases", str(tmp_path / name)]) == cli.USAGE, "nothing is overwritten"
    header = (tmp_path / "cases.csv").read_text(encoding="utf-8-sig").splitlines()[0]
    assert "number" in header
    assert '"text"' not in header
    assert Case.objects.count() == 0
    assert cli.run(["export", "cases", str(tmp_path / "cases.pdf")]) == cli.USAGE


def test_a_model_is_trained_measured_and_not_put_to_use_with_foreign_kinds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["文字,类别"]
    for n in range(12):
        rows += [f"路面坑洼第{n}处汽车难走,道路", f"第{n}棵行道树倒了树枝断了,绿化"]
    table = written(tmp_path, "labelled.csv", "\n".join(rows) + "\n")
    columns = ["--text", "文字", "--label", "类别"]
    assert cli.run(["packs", "activate"]) == cli.OK
    assert cli.run(["discover", "train", table, *columns]) == cli.FAILED
    assert "道路" in capsys.readouterr().err
    model = tmp_path / "model.npz"
    assert cli.run(["discover", "train", table, *columns, "--out", str(model)]) == cli.OK
    assert cli.run(["discover", "evaluate", table, *columns, "--folds", "2"]) == cli.OK
    assert "macro-F1" in capsys.readouterr().out
    assert cli.run(["discover", "evaluate", table, *columns, "--model", str(model)]) == cli.OK
    assert cli.run(["discover", "evaluate", table, "--text", "无此列", "--label", "类别"]) == cli.MISTAKES


def test_packs_are_checked_and_the_record_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["packs", "check"]) == cli.OK
    assert "urban: ok" in capsys.readouterr().out
    assert cli.run(["check"]) == cli.OK


def test_a_wrong_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["import", "dragons"]) == cli.USAGE
    assert "dragons" in capsys.readouterr().err

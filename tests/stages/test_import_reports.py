"""Any table becomes reports: twice is once, mistakes are told in place, nothing is lost, memory is flat."""

from __future__ import annotations

import csv
import os
import resource
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from gridloop.discover.imports import ImportSummary, import_reports, load_mapping, propose_mapping
from gridloop.discover.models import Report
from gridloop.discover.rules.mapping import answered
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.models import Event
from gridloop.kernel.tables import open_table, write_table
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.registry.models import ReporterContact
from gridloop.standard.actions import activate_packs

ROOT = Path(__file__).parents[2]
ZH_MESSAGES = ROOT / ".." / "shared" / "data" / "zh_messages"

pytestmark = pytest.mark.django_db

MAPPING: dict[str, Any] = {
    "gridloop_mapping": 1,
    "client": "hotline-test",
    "zone": "Asia/Shanghai",
    "fields": {
        "key": "编号",
        "text": "内容",
        "reported_at": "时间",
        "case_type": {"column": "类型", "alias": "hotline"},
        "contact_name": "姓名",
        "contact_phone": "电话",
        "channel": {"value": "hotline"},
    },
    "extra": {"street": "街道"},
}
COLUMNS = ["编号", "内容", "时间", "类型", "姓名", "电话", "街道"]


@pytest.fixture(autouse=True)
def standard() -> None:
    activate_packs(folders=[ROOT / "packs" / "urban"], actor="system")


def table(path: Path, rows: list[list[object]]) -> Path:
    write_table(path, COLUMNS, rows)
    return path


def row(key: object, text: str = "井盖丢了", when: str = "2022-07-25 10:00:00", kind: str = "") -> list[object]:
    return [key, text, when, kind, "赵先生", "12500000001", "陇海马路街道"]


def take(path: Path, **options: Any) -> ImportSummary:
    return import_reports(path, MAPPING, viewer=SYSTEM, **options)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "xlsx"])
def test_importing_twice_adds_nothing(tmp_path: Path, kind: str) -> None:
    path = table(tmp_path / f"a.{kind}", [row(n) for n in range(25)])
    first = take(path, batch=10)
    assert (first.read, first.accepted, first.known, first.rejected) == (25, 25, 0, 0)
    second = take(path, batch=7)
    assert (second.read, second.accepted, second.known, second.rejected) == (25, 0, 25, 0)
    assert Report.objects.count() == ReporterContact.objects.count() == 25
    assert Event.objects.filter(name="ReportReceived").count() == 25


def test_what_a_row_says_is_what_is_stored(tmp_path: Path) -> None:
    take(table(tmp_path / "a.csv", [row("K1", "路灯不亮", "2022-07-25 10:00:00", "路灯")]))
    report = Report.objects.get()
    assert (report.client, report.key, report.channel, report.text) == ("hotline-test", "K1", "hotline", "路灯不亮")
    assert report.reported_at.isoformat() == "2022-07-25T02:00:00+00:00"
    assert report.case_type == "urban:C0137"
    assert report.extra == {"street": "陇海马路街道"}
    assert report.contact_id is not None


def test_a_dry_run_stores_nothing_and_lists_the_mistakes_by_row_and_column(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", [row(1), row(2, when="昨天"), row(3, text=""), row("", when="前天"), row(1), row(1, "另")]
    )
    summary = take(path, dry_run=True)
    assert Report.objects.count() == 0
    assert (summary.read, summary.accepted, summary.known, summary.rejected) == (6, 1, 1, 4)
    assert {(f.column, tuple(f.rows)) for f in summary.findings} == {
        ("时间", (3, 5)),
        ("内容", (4,)),
        ("编号", (5,)),
        ("编号", (7,)),
    }
    assert "12500000001" not in repr(summary.findings)


def test_a_dry_run_foresees_exactly_what_the_import_does(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv",
        [row(n % 40, text=f"井盖{n % 3}", when="x" if n % 7 == 0 else "2022-07-25") for n in range(99)],
    )
    dry, real = take(path, dry_run=True), take(path)
    assert (dry.accepted, dry.known, dry.rejected) == (real.accepted, real.known, real.rejected)
    again = take(path, dry_run=True)
    assert again.accepted == 0


def test_the_rejected_rows_are_corrected_in_their_file_and_imported_from_it(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", [row(1), row(2, when="昨天")])
    summary = take(path)
    assert summary.rejects is not None
    with open_table(summary.rejects) as rejects:
        columns, rows = rejects.columns, [r.cells for r in rejects.rows]
    assert [r["gridloop_row"] for r in rows] == ["3"]
    rows[0]["时间"] = "2022-07-24 09:00"
    corrected = tmp_path / "corrected.csv"
    write_table(corrected, columns, [list(r.values()) for r in rows])
    assert take(corrected).accepted == 1
    assert Report.objects.count() == 2


def test_the_same_key_with_another_content_is_rejected_and_the_first_stays(tmp_path: Path) -> None:
    take(table(tmp_path / "a.csv", [row(1, "第一次")]))
    summary = take(table(tmp_path / "b.csv", [row(1, "第二次"), row(2)]))
    assert (summary.accepted, summary.rejected) == (1, 1)
    assert Report.objects.get(key="1").text == "第一次"


def test_a_broken_row_does_not_stop_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [
        ",".join(COLUMNS),
        "1,井盖丢了,2022-07-25,,,,,多了一格",
        "2,井盖丢了,2022-07-25,,,,",
        "3,坏,2022-07-25,,,,",
    ]
    path.write_bytes("\n".join(lines).encode("gb18030"))
    summary = take(path)
    assert (summary.accepted, summary.rejected) == (2, 1)


def test_unknown_types_are_counted_by_name_and_left_to_the_classifier(tmp_path: Path) -> None:
    summary = take(table(tmp_path / "a.csv", [row(n, kind="从未听说的类型") for n in range(3)]))
    assert summary.accepted == 3
    assert summary.unknown_types == {"从未听说的类型": 3}


def test_only_who_may_import_can(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", [row(1)])
    with pytest.raises(Refused):
        import_reports(path, MAPPING, viewer=Viewer("person", 1, permissions=frozenset({"report"})))


def test_a_mapping_that_names_absent_columns_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("编号,正文\n1,井盖丢了\n", encoding="utf-8")
    with pytest.raises(Mistakes):
        take(path)
    assert not Report.objects.exists()


def test_a_mapping_is_proposed_answered_and_used(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", [row(n) for n in range(5)])
    suggestion = propose_mapping(path, client="x")
    summary = import_reports(path, answered(suggestion, {"zone": "Asia/Shanghai"}), viewer=SYSTEM)
    assert (summary.accepted, summary.rejected) == (5, 0)
    assert Report.objects.filter(contact_id__isnull=False).count() == 5


def test_progress_is_told_with_every_batch(tmp_path: Path) -> None:
    told: list[int] = []
    take(table(tmp_path / "a.csv", [row(n) for n in range(25)]), progress=told.append, batch=10)
    assert told == [10, 20, 25]


def test_memory_is_flat_while_a_long_file_is_looked_over(tmp_path: Path) -> None:
    peaks = []
    for count in (3_000, 30_000):
        path = table(tmp_path / f"{count}.csv", [row(n, "积水" * 60) for n in range(count)])
        tracemalloc.start()
        assert take(path, dry_run=True).accepted == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 6_000_000, peaks


@pytest.mark.skipif(os.environ.get("DEEP_TESTS") != "1", reason="a million rows take minutes: DEEP_TESTS=1")
def test_a_million_rows_are_imported_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "million.csv"
    write_table(path, COLUMNS, (row(n, f"第 {n} 条：路面积水") for n in range(1_000_000)))
    measured: list[int] = []
    summary = take(
        path, dry_run=True, progress=lambda _: measured.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    )
    assert summary.accepted == 1_000_000
    assert measured[-1] - measured[50] < 80 << 10, "the keys of a dry run take 24 bytes a row"


MESSAGES = [
    ("hot_issue_messages.csv", "zh_messages.hot_issues.yaml"),
    ("messages_with_replies.csv", "zh_messages.replies.yaml"),
    ("labelled_raw.csv", "zh_messages.labelled.yaml"),
]


@pytest.mark.skipif(not ZH_MESSAGES.is_dir(), reason="the Chinese messages (../shared/data/zh_messages) are not here")
@pytest.mark.parametrize(("name", "mapping"), MESSAGES)
def test_the_chinese_messages_are_imported_whole_and_once(name: str, mapping: str, tmp_path: Path) -> None:
    with (ZH_MESSAGES / name).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    contents: dict[str, set[tuple[str, ...]]] = {}
    for cells in rows:
        contents.setdefault(cells["留言编号"], set()).add(tuple(v for k, v in cells.items() if k.startswith("留言")))
    contradictions = sum(len(c) - 1 for c in contents.values())  # one number given to two messages: real dirt
    loaded = load_mapping(ROOT / "docs" / "examples" / "mappings" / mapping)
    summary = import_reports(ZH_MESSAGES / name, loaded, viewer=SYSTEM, rejects=tmp_path / "rejects.csv")
    assert summary.read == len(rows)
    assert summary.accepted == len(contents)
    assert summary.rejected == contradictions, summary.findings
    again = import_reports(ZH_MESSAGES / name, loaded, viewer=SYSTEM, rejects=tmp_path / "r.csv")
    assert again.accepted == 0

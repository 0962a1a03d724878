"""Tables from outside: whatever the encoding, nothing lost, nothing executed, memory flat."""

from __future__ import annotations

import csv
import gzip
import stat
import tracemalloc
import zipfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gridloop.kernel import tables
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence
from gridloop.kernel.tables import Rejects, Row, open_table, write_table

TEXT = '编号,内容\r\n1,井盖丢了，很危险\r\n2,"路灯, 不亮"\r\n'


def read(path: Path) -> tuple[str, list[Row]]:
    with open_table(path) as table:
        return table.form, list(table.rows)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_encoding_is_recognised_without_being_told(tmp_path: Path, encoding: str, packed: bool) -> None:
    path = tmp_path / "messages.csv"
    data = TEXT.encode(encoding)
    path.write_bytes(gzip.compress(data) if packed else data)
    _, rows = read(path)
    assert [(r.number, r.cells) for r in rows] == [
        (2, {"编号": "1", "内容": "井盖丢了，很危险"}),
        (3, {"编号": "2", "内容": "路灯, 不亮"}),
    ]


def test_an_encoding_that_changes_after_a_megabyte_is_still_recognised(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_bytes(b"a,b\n" + b"1,plain\n" * 200_000 + "2,积水\n".encode("gbk"))
    form, rows = read(path)
    assert "gb18030" in form
    assert rows[-1].cells == {"a": "2", "b": "积水"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_by_the_evenness_of_the_columns(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([["id", "text", "when"], *[["1", "a, b; c|d", "2024"]] * 5])
    _, rows = read(path)
    assert rows[0].cells["when"] == "2024"


def test_a_file_with_one_column_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("留言\n井盖坏了\n\n路灯不亮\n")
    assert [(r.number, r.cells["留言"]) for r in read(path)[1]] == [(2, "井盖坏了"), (4, "路灯不亮")]


def test_nul_bytes_are_dropped_and_the_row_stays(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,text\n1,a\x00b\n2,c\n")
    assert [r.cells["text"] for r in read(path)[1]] == ["ab", "c"]


def test_a_row_that_is_no_row_is_told_and_kept_whole_and_the_next_ones_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,text\n1,a,surplus\n2,fine\n3,bad \xff\xfe bytes\n4,fine\n")
    rows = read(path)[1]
    assert [r.broken is not None for r in rows] == [True, False, True, False]
    assert "surplus" in rows[0].raw


def test_an_unclosed_quotation_mark_does_not_swallow_silently(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,text\n1,"never closed\n' + "2,x\n" * 50_000)
    rows = read(path)[1]
    assert rows[0].broken is not None
    assert rows[0].raw.startswith('1,"never closed')


def test_repeated_and_empty_column_names_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name,,name\n1,2,3\n")
    with open_table(path) as table:
        assert table.columns == ("name", "#2", "name (2)")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("old.xls", b"\xd0\xcf\x11\xe0 old"),
        ("scan.csv", b"%PDF-1.7"),
        ("empty.csv", b""),
        ("half.csv.gz", gzip.compress(b"a,b\n1,2\n" * 9999)[:80]),
        ("half.xlsx", b"PK\x03\x04 and nothing more"),
        ("line.csv", b"a" * (tables.MAX_LINE + 5)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_table_is_refused_with_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Mistakes) as refused:
        read(path)
    assert refused.value.mistakes[0].instead.zh


def test_a_missing_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Mistakes):
        read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("kind", ["csv.gz", "xlsx"])
def test_a_bomb_is_refused_before_it_unpacks(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_UNPACKED", 1 << 20)
    path = tmp_path / f"bomb.{kind}"
    if kind == "xlsx":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("[Content_Types].xml", "<a/>" + " " * (2 << 20))
    else:
        path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * (1 << 19)))
    with pytest.raises(Mistakes) as refused:
        read(path)
    assert "MB" in refused.value.mistakes[0].wrong.en


def test_an_entity_in_a_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "good.xlsx"
    write_table(path, ["a"], [["x"]])
    evil = tmp_path / "evil.xlsx"
    with zipfile.ZipFile(path) as good, zipfile.ZipFile(evil, "w") as bad:
        for info in good.infolist():
            data = good.read(info)
            if info.filename.endswith("sheet1.xml"):
                head, body = data.split(b"?>", 1)
                data = head + b'?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + body
            bad.writestr(info, data)
    with pytest.raises(Mistakes):
        read(evil)


def test_an_error_of_the_caller_is_not_taken_for_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    with pytest.raises(KeyError), open_table(path) as table:
        next(table.rows).cells["no such column"]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "xlsx"])
@given(text=st.builds(str.__add__, st.sampled_from(["", *tables.DANGEROUS, "'", "''", " ="]), st.text(max_size=20)))
@example(text="=1+1")
@example(text="'=1+1")
@example(text="_x0041_")
@example(text="\r=cmd")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_exported_text_reads_back_equal_and_is_never_a_formula(tmp_path: Path, kind: str, text: str) -> None:
    path = tmp_path / f"export.{kind}"
    text = "".join(c for c in text if c in "\t\r\n" or (c >= " " and c.encode("utf-8", "ignore") and c < "\ufffe"))
    write_table(path, ["id", "text"], [[1, text]])
    assert read(path)[1][0].cells == {"id": "1", "text": text}
    if kind == "xlsx":
        cell = openpyxl.load_workbook(path).active["B2"]  # type: ignore[index]
        assert cell.data_type != "f"
    elif kind == "csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            raw = list(csv.reader(file))[1][1]
        assert not raw.startswith(tables.DANGEROUS)


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    write_table(path, ["a"], [[1]])
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        write_table(path, ["a"], ([1 / n] for n in (1, 0)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_too_long_for_a_cell_of_a_sheet_is_refused_not_cut(tmp_path: Path) -> None:
    with pytest.raises(Mistakes):
        write_table(tmp_path / "t.xlsx", ["a"], [["长" * 40_000]])
    assert list(tmp_path.iterdir()) == []


def test_rejected_rows_are_kept_whole_for_their_owner_only_and_can_be_imported_again(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    mistake = Mistake("2", Sentence(zh="不是日期", en="no date"), Sentence(zh="写成 2024-01-02", en="write 2024-01-02"))
    with Rejects(path, ["电话", "时间"]) as rejects:
        rejects.add(Row(2, {"电话": "+86 13800000000", "时间": "昨天"}), [("时间", mistake)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    row = read(path)[1][0]
    assert row.cells["电话"] == "+86 13800000000"
    assert row.cells["gridloop_column"] == "时间"
    assert row.cells["gridloop_value"] == "text, 2 characters"
    assert row.cells["gridloop_wrong_zh"] == "不是日期"


def test_no_rejects_no_file(tmp_path: Path) -> None:
    with Rejects(tmp_path / "rejects.csv", ["a"]):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_memory_stays_flat_while_a_long_table_is_read(tmp_path: Path, kind: str) -> None:
    peaks = []
    for count in (2_000, 20_000):
        path = tmp_path / f"{count}.{kind}"
        write_table(path, ["id", "text"], ((n, f"第 {n} 条留言，" + "路面积水" * 40) for n in range(count)))
        tracemalloc.start()
        with open_table(path) as table:
            assert sum(1 for _ in table.rows) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 3_000_000, peaks

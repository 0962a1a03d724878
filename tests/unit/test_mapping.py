"""A mapping says which column is what; everything wrong with it, or with a row, is said at once and in place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gridloop.discover.rules.mapping import (
    Mapped,
    answered,
    apply,
    content_key,
    moment_of,
    read_mapping,
    suggest_mapping,
    wanted,
)
from gridloop.kernel.errors import Mistakes

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def document(**fields: Any) -> dict[str, Any]:
    return {
        "gridloop_mapping": 1,
        "client": "hotline",
        "zone": "Asia/Shanghai",
        "fields": {"key": "编号", "text": "内容", **fields},
    }


def mapped(cells: dict[str, str], **fields: Any) -> Mapped:
    table = {"manhole": "urban:C0101"}
    cells = {"编号": "7", "内容": "井盖丢了", **cells}
    return apply(read_mapping(document(**fields)), 2, cells, alias=lambda _, name: table.get(name), now=NOW)


def places(report: Mapped) -> list[str]:
    return [column for column, _ in report.mistakes]


def test_a_row_becomes_the_fields_of_a_report() -> None:
    report = mapped(
        {
            "时间": "2022-07-25 18:20:00",
            "经度": "113.68",
            "纬度": "34.74",
            "类": "manhole",
            "人": "王某",
            "街": "陇海路",
        },
        reported_at="时间",
        lon="经度",
        lat="纬度",
        datum={"value": "gcj02"},
        contact_name="人",
        channel={"value": "hotline"},
        case_type={"column": "类", "alias": "x"},
    )
    assert report.mistakes == ()
    assert report.values == {
        "key": "7",
        "text": "井盖丢了",
        "channel": "hotline",
        "lon": 113.68,
        "lat": 34.74,
        "datum": "gcj02",
        "urgent": False,
        "reported_at": datetime(2022, 7, 25, 10, 20, tzinfo=UTC),
        "case_type": "urban:C0101",
        "extra": {},
    }
    assert report.contact == ("王某", "", False)


def test_all_mistakes_of_a_row_are_told_with_their_columns() -> None:
    report = mapped(
        {"编号": "", "内容": " ", "时间": "昨天下午", "经度": "113,68", "纬度": "34.7"},
        reported_at="时间",
        lon="经度",
        lat="纬度",
        datum={"value": "wgs84"},
    )
    assert sorted(places(report)) == sorted(["编号", "内容", "时间", "经度"])
    assert all(m.instead.zh and m.instead.en and m.place.startswith("2:") for _, m in report.mistakes)


def test_a_mistake_never_repeats_the_value_it_complains_of() -> None:
    report = mapped({"时间": "13800000000", "内容": ""}, reported_at="时间")
    assert report.mistakes
    assert "13800000000" not in repr(report.mistakes)


@pytest.mark.parametrize(("lon", "lat"), [("0", "0"), ("0.0", "0.000")])
def test_zero_zero_means_that_the_place_is_not_known(lon: str, lat: str) -> None:
    report = mapped({"x": lon, "y": lat}, lon="x", lat="y", datum={"value": "wgs84"})
    assert report.mistakes == ()
    assert "lon" not in report.values


def test_exchanged_coordinates_are_told_as_such() -> None:
    report = mapped({"x": "34.7", "y": "113.6"}, lon="x", lat="y", datum={"value": "wgs84"})
    assert "exchanged" in report.mistakes[0][1].wrong.en


@pytest.mark.parametrize("value", ["nan", "inf", "999"])
def test_a_number_that_is_no_place_is_refused(value: str) -> None:
    assert mapped({"x": value, "y": "34.7"}, lon="x", lat="y", datum={"value": "wgs84"}).mistakes


def test_a_type_that_is_not_known_is_no_mistake_but_is_counted() -> None:
    report = mapped({"类": "unheard of"}, case_type={"column": "类", "alias": "x"})
    assert (report.unknown_type, report.mistakes) == ("unheard of", ())
    assert "case_type" not in report.values


def test_a_report_from_the_future_is_refused_and_a_deadline_in_the_future_is_not() -> None:
    report = mapped({"a": "2027-01-01", "b": "2027-01-01"}, reported_at="a", due_at="b")
    assert places(report) == ["a"]
    assert report.values["due_at"] == datetime(2026, 12, 31, 16, tzinfo=UTC)


def test_a_deadline_that_is_a_date_lasts_until_the_day_ends() -> None:
    due = {"column": "限", "end_of_day": True}
    assert mapped({"限": "2022-07-25"}, due_at=due).values["due_at"] == datetime(2022, 7, 25, 16, tzinfo=UTC)
    assert mapped({"限": "2022-07-25 09:00"}, due_at=due).values["due_at"] == datetime(2022, 7, 25, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "formats", "moment"),
    [
        ("2022/7/5 8:03", (), datetime(2022, 7, 5, 0, 3, tzinfo=UTC)),
        ("2022年7月5日 8时03分", (), datetime(2022, 7, 5, 0, 3, tzinfo=UTC)),
        ("2022-07-05T08:03:09Z", (), datetime(2022, 7, 5, 8, 3, 9, tzinfo=UTC)),
        ("2022-07-05 08:03:09+08:00", (), datetime(2022, 7, 5, 0, 3, 9, tzinfo=UTC)),
        ("2022-07-05 08:03:09.5", (), datetime(2022, 7, 5, 0, 3, 9, 500_000, tzinfo=UTC)),
        ("2022-07-05", (), datetime(2022, 7, 4, 16, tzinfo=UTC)),
        ("07/05/2022", (), None),
        ("07/05/2022", ("%m/%d/%Y",), datetime(2022, 7, 4, 16, tzinfo=UTC)),
        ("2022-02-30", (), None),
        ("0001-01-01", (), None),
        ("44747", (), None),
    ],
)
def test_times_are_read_year_first_or_by_their_format(text: str, formats: tuple[str, ...], moment: object) -> None:
    from zoneinfo import ZoneInfo

    assert moment_of(text, formats, ZoneInfo("Asia/Shanghai")) == moment


def test_a_row_without_a_key_column_is_known_by_its_content() -> None:
    bare = document()
    del bare["fields"]["key"]
    mapping = read_mapping(bare)
    keys = {
        apply(mapping, n, cells, alias=lambda *_: None, now=NOW).values["key"]
        for n, cells in enumerate([{"内容": "a"}, {"内容": "a"}, {"内容": "b"}])
    }
    assert len(keys) == 2


def test_content_keys_do_not_run_together() -> None:
    assert content_key({"a": "1", "b": "2"}) != content_key({"a": "1 1 b 1 2"})
    assert content_key({"a": "1", "gridloop_wrong_zh": "x"}) == content_key({"a": "1"})


def test_all_mistakes_of_a_mapping_are_told_at_once() -> None:
    with pytest.raises(Mistakes) as refused:
        read_mapping(
            {
                "client": "has spaces",
                "zone": "Asia/Zhengzhou",
                "fields": {
                    "txt": "内容",
                    "lon": "x",
                    "channel": {"value": "热线"},
                    "key": {"formats": ["%d"], "value": "1"},
                },
                "wher": {},
            }
        )
    told = {m.place for m in refused.value.mistakes}
    assert {"gridloop_mapping", "client", "zone", "wher", "fields.txt", "fields.text", "fields.lon"} <= told
    assert {"fields.datum", "fields.channel", "fields.key.formats"} <= told


def test_a_column_that_the_table_lacks_is_told_with_the_nearest_name() -> None:
    with pytest.raises(Mistakes) as refused:
        read_mapping(document(), columns=["编号", "内容详情"])
    assert "内容详情" in refused.value.mistakes[0].instead.zh


def test_where_takes_only_the_rows_asked_for() -> None:
    mapping = read_mapping({**document(), "where": {"城市": ["郑州", "开封"]}})
    assert wanted(mapping, {"城市": "郑州"})
    assert not wanted(mapping, {"城市": "洛阳"})


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            [
                "工单编号",
                "诉求标题",
                "主要内容",
                "来电时间",
                "来电人",
                "来电电话",
                "经度",
                "纬度",
                "备注",
            ],
            {
                "key": "工单编号",
                "title": "诉求标题",
                "text": "主要内容",
                "reported_at": "来电时间",
                "contact_name": "来电人",
                "contact_phone": "来电电话",
                "lon": "经度",
                "lat": "纬度",
            },
        ),
        (
            ["SR_NUMBER", "Created Date", "Request Type", "Description", "Latitude", "Longitude", "Due Date"],
            {
                "key": "SR_NUMBER",
                "reported_at": "Created Date",
                "case_type": "Request Type",
                "text": "Description",
                "lat": "Latitude",
                "lon": "Longitude",
                "due_at": "Due Date",
            },
        ),
    ],
)
def test_a_mapping_is_proposed_from_chinese_or_english_headers(columns: list[str], expected: dict[str, str]) -> None:
    times = {"来电时间", "Created Date", "Due Date"}
    sample = [{c: ("2024-03-01 10:00" if c in times else f"{c} {n}") for c in columns} for n in range(3)]
    suggestion = suggest_mapping(columns, sample, client="x")
    fields = dict(suggestion.document["fields"])
    assert fields.pop("channel") == {"value": "file"}
    assert fields == expected
    assert "datum" in [q.field for q in suggestion.questions], "a datum is never guessed"
    read_mapping(answered(suggestion, {"datum": "gcj02"}), columns=columns)


def test_the_format_of_times_is_found_from_the_values() -> None:
    sample = [
        {"id": str(n), "text": "the street lamp is out", "date": f"0{n}/25/2024 01:00:00 PM"} for n in range(1, 5)
    ]
    fields = suggest_mapping(["id", "text", "date"], sample, client="x").document["fields"]
    assert fields["reported_at"] == {"column": "date", "formats": ["%m/%d/%Y %I:%M:%S %p"]}


def test_a_column_called_id_with_repeated_values_is_not_proposed_as_the_key() -> None:
    sample = [{"id": "1", "text": "the street lamp is out"}] * 2
    assert "key" not in suggest_mapping(["id", "text"], sample, client="x").document["fields"]

"""How the columns of somebody's table become reports: the mapping, applying it to a row, and proposing one.

A mapping is a small YAML file (see docs/how-to/import-reports.md)::

    gridloop_mapping: 1
    client: hotline-2023          # whose keys these are
    zone: Asia/Shanghai           # of times without a zone
    fields:
      key: 工单编号                # a column; without it, the row's content is its key
      text: {columns: [标题, 主要内容], join: "。"}
      reported_at: {column: 来电时间, formats: ["%d.%m.%Y %H:%M"]}
      case_type: {column: 问题分类, alias: hotline}
      channel: {value: hotline}
    extra: {area: 被反映街乡镇}
    where: {城市: [郑州]}
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from gridloop.kernel.coordinates import Datum
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence

VERSION = 1
FIELDS = (
    "key",
    "channel",
    "title",
    "text",
    "address",
    "lon",
    "lat",
    "datum",
    "case_type",
    "urgent",
    "reported_at",
    "due_at",
    "contact_name",
    "contact_phone",
    "contact_secret",
)
TIMES = ("reported_at", "due_at")
FLAGS = ("urgent", "contact_secret")
LONGEST = {"key": 200, "title": 300, "text": 20_000, "address": 300, "contact_name": 60, "contact_phone": 40}
YES = frozenset({"1", "true", "yes", "y", "t", "是", "真", "有", "保密", "加急", "紧急"})
CHANNEL = re.compile(r"[a-z0-9_]{1,24}")

Alias = Callable[[str, str], str | None]
"""(source, name) -> the key of our case type, None where unknown."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one field comes from: columns joined together, or one value for all rows."""

    columns: tuple[str, ...] = ()
    join: str = " "
    value: str = ""
    formats: tuple[str, ...] = ()
    map: Mapping[str, str] = field(default_factory=dict)
    alias: str = ""
    end_of_day: bool = False
    """Whether midnight means the end of that day: for deadlines that are recorded as dates."""

    def of(self, cells: Mapping[str, str]) -> str:
        """The field's text in a row."""
        if not self.columns:
            return self.value
        if len(self.columns) == 1:
            text = cells.get(self.columns[0], "").strip()
        else:
            text = self.join.join(t for c in self.columns if (t := cells.get(c, "").strip()))
        return self.map.get(text, text) or self.value

    @property
    def place(self) -> str:
        """The columns, as a list of mistakes names them."""
        return "+".join(self.columns)


@dataclass(frozen=True, slots=True)
class TableMapping:
    """A mapping that was checked."""

    client: str
    zone: tzinfo
    fields: Mapping[str, Source]
    extra: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def columns(self) -> set[str]:
        """All columns that the mapping reads."""
        used = {c for s in self.fields.values() for c in s.columns}
        return used | set(self.extra.values()) | set(self.where)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a row says: the fields of a report, the name of a type that is not ours, and the mistakes by column."""

    values: dict[str, Any]
    contact: tuple[str, str, bool] | None
    """Name, phone, and whether the caller asked for secrecy."""
    unknown_type: str = ""
    mistakes: tuple[tuple[str, Mistake], ...] = ()


# --- reading a mapping -----------------------------------------------------------------------------------------------


def read_mapping(document: object, *, columns: Sequence[str] | None = None) -> TableMapping:
    """The mapping in a parsed YAML document, checked against the table's columns if they are given.

    Raises `Mistakes` with all that is wrong.
    """
    found: list[Mistake] = []
    if not isinstance(document, Mapping):
        raise Mistakes([_mistake("mapping", "不是映射", "is no mapping", "写 fields: …", "write fields: …")])
    known = {"gridloop_mapping", "client", "zone", "fields", "extra", "where", "title"}
    for name in sorted(set(map(str, document)) - known):
        found.append(_unknown(name, name, known))
    if document.get("gridloop_mapping") != VERSION:
        found.append(_mistake("gridloop_mapping", "缺少版本", "is missing", "写 1", "write 1"))
    client = str(document.get("client") or "")
    if not re.fullmatch(r"[\w.-]{1,40}", client):
        found.append(
            _mistake("client", "缺少或含空格", "is missing or holds spaces", "写来源的短名称", "write a short name")
        )
    zone_name = str(document.get("zone") or "Asia/Shanghai")
    zone: tzinfo = UTC
    if zone_name in available_timezones():
        zone = ZoneInfo(zone_name)
    else:
        found.append(_unknown("zone", zone_name, available_timezones()))
    fields: dict[str, Source] = {}
    raw_fields = document.get("fields")
    if not isinstance(raw_fields, Mapping):
        found.append(_mistake("fields", "缺少", "is missing", "写 text: 列名", "write text: COLUMN"))
        raw_fields = {}
    for name, raw in raw_fields.items():
        if name not in FIELDS:
            found.append(_unknown(f"fields.{name}", str(name), FIELDS))
        else:
            fields[name] = _source(f"fields.{name}", raw, found)
    found += _checked_fields(fields)
    extra = _texts("extra", document.get("extra"), found)
    where = {
        str(c): frozenset(map(str, v if isinstance(v, list) else [v]))
        for c, v in _mapping("where", document.get("where"), found).items()
    }
    mapping = TableMapping(client, zone, fields, extra, where)
    if columns is not None:
        found += [_unknown("columns", c, columns) for c in sorted(mapping.columns() - set(columns))]
    if found:
        raise Mistakes(found)
    return mapping


def _source(place: str, raw: object, found: list[Mistake]) -> Source:
    if isinstance(raw, str):
        return Source(columns=(raw,))
    parts = _mapping(place, raw, found)
    known = ("column", "columns", "join", "value", "formats", "map", "alias", "end_of_day")
    found += [_unknown(f"{place}.{name}", str(name), known) for name in parts if name not in known]
    columns = parts.get("columns") or ([parts["column"]] if parts.get("column") else [])
    if not isinstance(columns, list):
        columns = [columns]
    if not columns and parts.get("value") in (None, ""):
        found.append(_mistake(place, "没有来源", "has no source", "写 column 或 value", "write column or value"))
    return Source(
        columns=tuple(map(str, columns)),
        join=str(parts.get("join", " ")),
        value=str(parts.get("value") or ""),
        formats=tuple(map(str, parts.get("formats") or ())),
        map=_texts(f"{place}.map", parts.get("map"), found),
        alias=str(parts.get("alias") or ""),
        end_of_day=parts.get("end_of_day") is True,
    )


def _checked_fields(fields: Mapping[str, Source]) -> Iterable[Mistake]:
    if not {"text", "title"} & set(fields):
        yield _mistake("fields.text", "缺少", "is missing", "指出留言内容所在的列", "name the column with the message")
    if ("lon" in fields) != ("lat" in fields):
        yield _mistake("fields.lon", "经纬度只有一个", "only one of lon and lat", "两个都写", "write both")
    if "lon" in fields and "datum" not in fields:
        yield _mistake(
            "fields.datum",
            "没有说明坐标系",
            "the datum of the coordinates is not named",
            "、".join(Datum),
            ", ".join(Datum),
        )
    datum = fields.get("datum")
    if datum and not datum.columns and datum.value not in set(Datum):
        yield _unknown("fields.datum", datum.value, list(Datum))
    channel = fields.get("channel")
    if channel and not channel.columns and not CHANNEL.fullmatch(channel.value):
        yield _mistake("fields.channel", "不是渠道名", "is no channel's name", "例如 hotline", "such as hotline")
    for name, source in fields.items():
        if (source.formats or source.end_of_day) and name not in TIMES:
            yield _mistake(f"fields.{name}.formats", "只用于时间", "is for times only", "删去", "remove it")


def _mapping(place: str, raw: object, found: list[Mistake]) -> Mapping[str, Any]:
    if raw is None:
        return {}
    if isinstance(raw, Mapping):
        return raw
    found.append(_mistake(place, "应为“名称: 值”", "should be “name: value”", "写 名称: 值", "write name: value"))
    return {}


def _texts(place: str, raw: object, found: list[Mistake]) -> dict[str, str]:
    return {str(k): str(v) for k, v in _mapping(place, raw, found).items()}


def _mistake(place: str, zh: str, en: str, instead_zh: str, instead_en: str) -> Mistake:
    return Mistake(place, Sentence(zh=zh, en=en), Sentence(zh=instead_zh, en=instead_en))


def _unknown(place: str, name: str, known: Iterable[str]) -> Mistake:
    near = get_close_matches(name, list(known), n=3, cutoff=0.5) or sorted(known)[:12]
    return _mistake(
        place, f"没有“{name}”", f"there is no “{name}”", f"可选：{'、'.join(near)}", f"one of: {', '.join(near)}"
    )


# --- applying it to a row --------------------------------------------------------------------------------------------


def wanted(mapping: TableMapping, cells: Mapping[str, str]) -> bool:
    """Whether the mapping takes this row at all (`where`)."""
    return all(cells.get(column, "").strip() in values for column, values in mapping.where.items())


def apply(mapping: TableMapping, row: int, cells: Mapping[str, str], *, alias: Alias, now: datetime) -> Mapped:
    """One row as the fields of a report. `now` is the moment after which nothing can have been reported."""
    found: list[tuple[str, Mistake]] = []

    def wrong(source: Source, zh: str, en: str, instead_zh: str, instead_en: str) -> None:
        place = source.place
        found.append((place, _mistake(f"{row}:{place}", zh, en, instead_zh, instead_en)))

    texts = {name: source.of(cells) for name, source in mapping.fields.items()}
    for name, most in LONGEST.items():
        if len(texts.get(name, "")) > most:
            wrong(mapping.fields[name], "太长", "is too long", f"最多 {most} 字", f"at most {most} characters")
    values: dict[str, Any] = {n: texts[n] for n in ("title", "text", "address") if n in texts}
    if not (values.get("text") or values.get("title")):
        source = mapping.fields.get("text") or mapping.fields["title"]
        wrong(source, "为空", "is empty", "写明发生了什么", "say what happened")
    values["channel"] = texts.get("channel") or "file"
    if not CHANNEL.fullmatch(values["channel"]):
        wrong(
            mapping.fields["channel"], "不是渠道名", "is not a channel's name",
            "在映射的 map 中翻译成 hotline、app 等", "translate it in the mapping's map, to hotline, app …",
        )  # fmt: skip
    if "key" not in mapping.fields:
        values["key"] = content_key(cells)
    elif texts["key"]:
        values["key"] = texts["key"]
    else:
        wrong(mapping.fields["key"], "缺少编号", "the key is missing", "补上编号", "give the row its key")
    for name in TIMES:
        if texts.get(name):
            source = mapping.fields[name]
            moment = moment_of(texts[name], source.formats, mapping.zone)
            if moment is not None and source.end_of_day:
                moment = _end_of_day(moment, mapping.zone)
            if moment is None:
                wrong(source, "不是时间", "is not a time", "写成 2024-01-31 08:30:00", "write 2024-01-31 08:30:00")
            elif name == "reported_at" and moment > now:
                wrong(source, "在未来", "lies in the future", "检查日期和时区", "check the date and the zone")
            else:
                values[name] = moment
    if texts.get("lon") or texts.get("lat"):
        values |= _place(mapping, texts, wrong)
    for name in FLAGS:
        texts[name] = "1" if texts.get(name, "").casefold() in YES else ""
    values["urgent"] = bool(texts["urgent"])
    unknown = ""
    if texts.get("case_type"):
        key = alias(mapping.fields["case_type"].alias, texts["case_type"])
        if key:
            values["case_type"] = key
        else:
            unknown = texts["case_type"]
    values["extra"] = {name: text for name, c in mapping.extra.items() if (text := cells.get(c, "").strip())}
    contact = None
    if texts.get("contact_name") or texts.get("contact_phone"):
        contact = (texts.get("contact_name", ""), texts.get("contact_phone", ""), bool(texts["contact_secret"]))
    return Mapped(values, contact, unknown, tuple(found))


def _place(mapping: TableMapping, texts: Mapping[str, str], wrong: Callable[..., None]) -> dict[str, Any]:
    """Longitude, latitude and datum; nothing where the source wrote 0, 0 for “unknown”."""
    found: dict[str, float] = {}
    for name in ("lon", "lat"):
        try:
            found[name] = float(texts[name])
        except ValueError:
            wrong(mapping.fields[name], "不是数字", "is not a number", "写成度：113.68", "write degrees: 113.68")
    if len(found) < 2 or found == {"lon": 0.0, "lat": 0.0}:
        return {}
    lon, lat = found["lon"], found["lat"]
    if abs(lat) > 90 >= abs(lon) and abs(lat) <= 180:
        wrong(mapping.fields["lat"], "经纬度写反了", "lon and lat are exchanged", "对调两列", "exchange them")
    elif not (abs(lon) <= 180 and abs(lat) <= 90):
        wrong(mapping.fields["lon"], "超出地球范围", "lies outside the globe", "用度表示", "use degrees")
    datum = texts.get("datum") or ""
    if datum not in set(Datum):
        wrong(mapping.fields["datum"], "不认识的坐标系", "is an unknown datum", "、".join(Datum), ", ".join(Datum))
    return {"lon": lon, "lat": lat, "datum": datum}


_YEAR_FIRST = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[T\s]*(\d{1,2})[:时点](\d{1,2})分?(?::?(\d{1,2})(?:\.(\d{1,6})\d*)?秒?)?)?"
    r"\s*(Z|[+-]\d{2}:?\d{2})?"
)


def moment_of(text: str, formats: Sequence[str], zone: tzinfo) -> datetime | None:
    """The moment (UTC) that a text names, by the given `strptime` formats, or year first; None if it names none.

    Day-first and month-first dates look alike, so they are only read with a format.
    """
    text = text.strip()
    moment = None
    if not formats:
        match = _YEAR_FIRST.fullmatch(text)
        if match is None:
            return None
        year, month, day, hour, minute, second, fraction, offset = match.groups()
        try:
            moment = datetime(  # noqa: DTZ001 - the zone is set below
                int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
                int((fraction or "").ljust(6, "0")),
            )  # fmt: skip
            if offset:
                moment = datetime.fromisoformat(moment.isoformat() + offset)
        except ValueError:
            return None
    for form in formats:
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is set below
            break
        except ValueError:
            continue
    if moment is None:
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        return None


def _end_of_day(moment: datetime, zone: tzinfo) -> datetime:
    """A local midnight stands for its whole day; any other moment for itself."""
    local = moment.astimezone(zone)
    if local.time() != time():
        return moment
    return (local.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone).astimezone(UTC)


def content_key(cells: Mapping[str, str]) -> str:
    """The key of a row that has none: what it says. The same row again is the same report."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in cells.items():
        if not name.startswith("gridloop_"):  # what an earlier import wrote beside a row that it refused
            digest.update(f"{len(name)} {name} {len(value)} {value}".encode("utf-8", "replace"))
    return digest.hexdigest()


# --- proposing one ---------------------------------------------------------------------------------------------------

_NAMES: dict[str, str] = {
    "key": "工单编号 工单号 留言编号 案件编号 案卷编号 诉求编号 任务号 流水号 编号 序号 单号 "
    "id case_id request_id service_request_id sr_number srnumber ticket ticket_id number key unique_key",
    "title": "标题 主题 留言主题 工单标题 事件标题 诉求标题 title subject summary headline",
    "text": "内容 主要内容 留言详情 留言内容 诉求内容 工单内容 问题描述 事件描述 描述 详情 情况描述 来电内容 反映内容 "
    "text description content details message body complaint comments",
    "address": "地址 地点 位置 事发地址 事发地点 详细地址 发生地点 问题地址 小区点位 案发地址 "
    "address location street_address incident_address place",
    "lon": "经度 x坐标 坐标x lon lng long longitude x point_x x_coordinate",
    "lat": "纬度 y坐标 坐标y lat latitude y point_y y_coordinate",
    "case_type": "问题分类 类型 小类 事件类型 案件类型 小类名称 诉求类别 问题类型 分类 一级标签 "
    "type category service_name request_type complaint_type problem_type case_type",
    "channel": "渠道 来源 接入渠道 受理渠道 问题来源 信息来源 诉求来源 source channel origin method_received",
    "reported_at": "上报时间 留言时间 来电时间 受理时间 创建时间 登记时间 发生时间 时间 日期 诉求时间 "
    "created created_date createddate requested_datetime opened open_date date reported_at date_time timestamp",
    "due_at": "截止时间 办理时限 处置截止时间 到期时间 应办结时间 due due_date expected_datetime sla_date deadline",
    "contact_name": "姓名 来电人 联系人 诉求人 反映人 留言用户 举报人 上报人 "
    "name reporter caller contact contact_name full_name",
    "contact_phone": "电话 来电电话 联系电话 手机 手机号 手机号码 联系方式 来电号码 "
    "phone telephone mobile phone_number",
    "contact_secret": "保密 是否保密 匿名 是否匿名 secret confidential anonymous",
    "urgent": "紧急 是否紧急 紧急程度 加急 urgent priority emergency",
}
_FIELD_OF = {name: f for f, names in _NAMES.items() for name in names.split()}
_FORMATS = (
    "%m/%d/%Y %I:%M:%S %p",
    *(f"{day}{time}" for day in ("%m/%d/%Y", "%d.%m.%Y", "%d/%m/%Y") for time in (" %H:%M:%S", " %H:%M", "")),
    "%Y%m%d%H%M%S",
    "%Y%m%d",
)


@dataclass(frozen=True, slots=True)
class Question:
    """What a person has to say before the import: the field, the question, and the answers (columns, or values)."""

    field: str
    text: Sentence
    choices: tuple[str, ...]
    proposed: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A mapping document as far as the table tells, and what remains to be asked."""

    document: dict[str, Any]
    questions: tuple[Question, ...]


def suggest_mapping(columns: Sequence[str], sample: Sequence[Mapping[str, str]], *, client: str) -> Suggestion:
    """A mapping for a table by the names of its columns, Chinese or English, and by what stands in the first rows."""
    fields: dict[str, Any] = {}
    for column in columns:
        name = _FIELD_OF.get(_plain(column))
        if name and name not in fields:
            fields[name] = column
    for name in TIMES:
        if name in fields:
            formats = _formats_of([r.get(fields[name], "") for r in sample])
            if formats:
                fields[name] = {"column": fields[name], "formats": formats}
            elif formats is None:
                del fields[name]
    if ("lon" in fields) != ("lat" in fields):
        fields.pop("lon", None)
        fields.pop("lat", None)
    if "text" not in fields:
        longest = _longest_column([c for c in columns if c not in fields.values()], sample)
        if longest:
            fields["text"] = longest
    keys = [r.get(fields.get("key", ""), "") for r in sample]
    if "key" in fields and (not all(keys) or len(set(keys)) < len(keys)):
        del fields["key"]  # not a key: empty, or the same in several rows
    channels = {r.get(fields["channel"], "") for r in sample} if "channel" in fields else set()
    if not all(CHANNEL.fullmatch(c) for c in channels):
        fields.pop("channel", None)
    fields.setdefault("channel", {"value": "file"})
    chinese = any("\u4e00" <= c <= "\u9fff" for column in columns for c in column)
    questions = [
        Question(
            "text",
            Sentence(zh="哪一列是留言内容？", en="Which column holds the message?"),
            tuple(columns),
            str(fields.get("text", "")),
        ),
        Question(
            "key",
            Sentence(
                zh="哪一列是唯一编号？（没有则按内容去重）",
                en="Which column is the unique key? (without one, the content is)",
            ),
            ("", *columns),
            str(fields.get("key", "")),
        ),
        Question(
            "zone",
            Sentence(zh="时间是哪个时区的？", en="In which time zone are the times?"),
            ("Asia/Shanghai", "UTC"),
            "Asia/Shanghai" if chinese else "UTC",
        ),
    ]
    if "lon" in fields:
        questions.append(
            Question(
                "datum",
                Sentence(
                    zh="坐标是哪个坐标系？（高德、腾讯为 gcj02，百度为 bd09）",
                    en="In which datum are the coordinates? (Chinese maps: gcj02, Baidu: bd09)",
                ),
                tuple(Datum),
            )
        )
    document = {"gridloop_mapping": VERSION, "client": client, "zone": questions[2].proposed, "fields": fields}
    return Suggestion(document, tuple(questions))


def answered(suggestion: Suggestion, answers: Mapping[str, str]) -> dict[str, Any]:
    """The mapping document after a person's answers, by the question's field."""
    document = {**suggestion.document, "fields": dict(suggestion.document["fields"])}
    for name, answer in answers.items():
        if name == "zone":
            document["zone"] = answer
        elif name == "datum":
            document["fields"]["datum"] = {"value": answer}
        elif answer:
            document["fields"][name] = answer
        else:
            document["fields"].pop(name, None)
    return document


def _plain(column: str) -> str:
    name = re.sub(r"[（(\[].*$", "", column).strip().casefold()
    return re.sub(r"[\s\-_*:：]+", "_", name).strip("_")


def _formats_of(values: Sequence[str]) -> list[str] | None:
    """The formats needed to read the values: none for year-first dates; None if they are no times."""
    values = [v for v in values if v.strip()]
    if not values:
        return []
    for formats in ([], *([f] for f in _FORMATS)):
        if all(moment_of(v, formats, UTC) for v in values):
            return formats
    return None


def _longest_column(columns: Sequence[str], sample: Sequence[Mapping[str, str]]) -> str:
    length = {c: sum(len(r.get(c, "")) for r in sample) for c in columns}
    best = max(columns, key=lambda c: length[c], default="")
    return best if length.get(best, 0) >= 6 * max(1, len(sample)) else ""

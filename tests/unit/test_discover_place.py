"""Where a text says that something is: sure only where it is one place."""

from __future__ import annotations

import time

import pytest

from gridloop.discover.rules.place import Entry, Gazetteer, coarse

STREET = "410104001"


def entry(name: str, kind: str, code: str, lon: float, lat: float, *aliases: str) -> Entry:
    return Entry(name=name, kind=kind, region_code=code, lon=lon, lat=lat, aliases=aliases)


ENTRIES = [
    entry("北下街街道", "street", STREET, 113.680, 34.760, "北下街办事处"),
    entry("新华社区", "community", STREET + "001", 113.670, 34.760),
    entry("西昌社区", "community", STREET + "005", 113.690, 34.750),
    entry("航海路", "road", STREET + "001B001", 113.670, 34.761),
    entry("航海东路", "road", STREET + "005B001", 113.700, 34.750),
    entry("未来路", "road", STREET + "001B002", 113.671, 34.762),
    entry("紫荆山路", "road", STREET + "005B002", 113.695, 34.755),
    entry("航海路与未来路交叉口", "crossing", STREET + "001B002", 113.672, 34.763, "未来路航海路路口"),
    entry("盛世新村", "compound", STREET + "001B001", 113.6711, 34.7609, "盛世新村小区"),
    entry("丰乐花园", "compound", STREET + "001B003", 113.6720, 34.7620),
    entry("和平菜市场", "poi", STREET + "001B001", 113.6705, 34.7612),
    entry("和平菜市场", "poi", STREET + "005B001", 113.6950, 34.7500),
    entry("云桥塔", "landmark", STREET + "005B003", 113.6990, 34.7440),
]
GAZETTEER = Gazetteer(ENTRIES)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("航海路与未来路交叉口红绿灯不亮", "航海路与未来路交叉口"),
        ("未来路航海路路口有积水", "航海路与未来路交叉口"),
        ("未来路和航海路东北角堆着垃圾", "航海路与未来路交叉口"),
        ("在航海路、未来路的丁字口，井盖响", "航海路与未来路交叉口"),
        ("未来路/航海路路口护栏倒了", "航海路与未来路交叉口"),
        ("盛世新村小区3号楼楼下噪音大", "盛世新村"),
        ("航海路靠近盛世新村的公交站没有灯", "盛世新村"),
        ("航海路123号盛世新村门口积水", "盛世新村"),
        ("北下街办事处旁的云桥塔下面有人摆摊", "云桥塔"),
        ("ＸＸ您好，云桥塔旁边有垃圾", "云桥塔"),
    ],
)
def test_one_exact_place_is_found_and_sure(text: str, name: str) -> None:
    place = GAZETTEER.find([text])[0]
    assert place is not None
    assert (place.name, place.others) == (name, ()) if "北下街" not in text else place.name == name
    assert place.lon is not None


def test_a_crossing_found_by_its_two_roads_is_as_sure_as_its_written_name() -> None:
    places = GAZETTEER.find(["未来路和航海路路口积水", "航海路与未来路交叉口积水"])
    assert [(p.region_code, p.lon, p.sure) for p in places if p] == [(STREET + "001B002", 113.672, True)] * 2


@pytest.mark.parametrize(
    "text",
    [
        "航海路与未来路之间路面不平",
        "航海路到未来路一路没有灯",
        "航海路上井盖坏了",
        "新华社区有人乱倒垃圾",
        "北下街街道太脏了",
    ],
)
def test_a_road_an_area_or_a_stretch_is_understood_but_not_sure(text: str) -> None:
    place = GAZETTEER.find([text])[0]
    assert place is not None
    assert not place.sure
    assert place.why


def test_a_longer_road_name_is_not_the_shorter_one() -> None:
    place = GAZETTEER.find(["航海东路有坑"])[0]
    assert place is not None
    assert place.name == "航海东路"


def test_a_shared_name_is_never_settled_by_a_guess() -> None:
    place = GAZETTEER.find(["和平菜市场门口占道经营"])[0]
    assert place is not None
    assert not place.sure
    assert (place.lon, place.lat) == (None, None)
    assert place.others == (STREET + "001B001", STREET + "005B001")
    assert place.region_code == STREET, "what both have in common"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("西昌社区和平菜市场门口占道经营", STREET + "005B001"),
        ("和平菜市场占道，在新华社区", STREET + "001B001"),
        ("盛世新村旁边，和平菜市场门口占道", STREET + "001B001"),
    ],
)
def test_another_name_in_the_text_tells_which_of_two_is_meant(text: str, code: str) -> None:
    place = GAZETTEER.find([text])[0]
    assert place is not None
    assert place.region_code == code


def test_two_exact_places_far_from_each_other_are_not_sure() -> None:
    place = GAZETTEER.find(["从盛世新村到云桥塔的路灯都不亮"])[0]
    assert place is not None
    assert not place.sure
    assert place.others == (STREET + "005B003",)


def test_a_place_that_contradicts_the_named_community_is_not_sure() -> None:
    place = GAZETTEER.find(["西昌社区盛世新村下水道堵了"])[0]
    assert place is not None
    assert (place.name, place.sure) == ("盛世新村", False)


def test_where_somebody_says_it_is_not_is_not_the_place() -> None:
    place = GAZETTEER.find(["不是盛世新村，是丰乐花园门口积水"])[0]
    assert place is not None
    assert place.name == "丰乐花园"


def test_a_text_without_a_name_of_the_district_has_no_place() -> None:
    assert GAZETTEER.find(["路灯坏了", "", "人民路"]) == [None, None, None]
    assert Gazetteer([]).find(["航海路"]) == [None]


def test_the_number_after_a_name_is_read_as_its_detail() -> None:
    places = GAZETTEER.find(["盛世新村3号楼2单元501室漏水", "航海路123号门前", "盛世新村有3个坑"])
    assert [p.detail for p in places if p] == ["3号楼2单元501室", "123号", ""]


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("盛世新村3号楼2单元501室漏水", "盛世新村＊号楼＊单元＊室漏水"),
        ("盛世新村3号楼2单元501漏水", "盛世新村＊号楼＊单元＊漏水"),
        ("航海路123号，十二号楼A座五楼", "航海路＊号，＊号楼＊座＊楼"),
        ("地铁5号线停运，7月15号起，水深30厘米", "地铁5号线停运，7月15号起，水深30厘米"),
        ("每栋楼都没有电，二楼上不去", "每栋楼都没有电，二楼上不去"),
    ],
)
def test_numbers_of_homes_are_blanked_for_the_public_and_other_numbers_kept(text: str, public: str) -> None:
    assert coarse(text) == public


def test_many_texts_are_read_in_a_moment() -> None:
    texts = ["您好，我要反映航海路与未来路交叉口积水严重，请尽快处理", "路灯坏了", "盛世新村3号楼漏水"] * 2000
    begin = time.process_time()
    GAZETTEER.find(texts)
    assert len(texts) / (time.process_time() - begin) > 5000

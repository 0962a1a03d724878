"""Packs in force: activated whole or not at all, never changed, and kept for the cases opened under them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.models import Event
from gridloop.kernel.worktime import Clock, Limit
from gridloop.standard import queries
from gridloop.standard.actions import Activation, activate_packs, check_packs
from gridloop.standard.models import PackRelease
from tests.packs.small import DISTRICT, files

pytestmark = pytest.mark.django_db


class Folders:
    """A pack and a district on disk, to be changed and activated."""

    def __init__(self, at: Path) -> None:
        self.pack, self.district = at / "small", at / "410104"
        for folder, content in ((self.pack, files()), (self.district, files(DISTRICT))):
            for name, text in content.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(text)

    def change(self, file: Path, this: str, that: str) -> None:
        text = file.read_text("utf-8")
        assert this in text
        file.write_text(text.replace(this, that), "utf-8")

    def activate(self, *, own: bool = True) -> Activation:
        return activate_packs(folders=[self.pack], district=self.district if own else None, actor="system")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def _queries(call: Callable[[], object]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        call()
    return len(captured)


def test_activating_twice_changes_nothing(folders: Folders) -> None:
    first, second = folders.activate(), folders.activate()
    assert first.new == ("small 1.0.0+410104.1.0.0",)
    assert second.new == ()
    assert first.releases == second.releases
    assert PackRelease.objects.count() == 1


def test_what_was_activated_and_by_whom_is_on_record_once(folders: Folders) -> None:
    folders.activate()
    folders.activate()
    folders.change(folders.pack / "pack.yaml", "version: 1.0.0", "version: 1.0.1")
    folders.activate()
    first, second = Event.objects.filter(name="PacksActivated").order_by("id")
    assert (first.actor, first.data["activated"]) == ("system", ["small 1.0.0+410104.1.0.0"])
    assert second.data["retired"] == ["small 1.0.0+410104.1.0.0"]
    assert second.data["sha256"] == {str(r): r.sha256 for r in PackRelease.objects.filter(retired_at=None)}


def test_comments_and_order_do_not_make_another_release(folders: Folders) -> None:
    first = folders.activate()
    folders.change(folders.pack / "pack.yaml", "format: 1\nname: small\n", "# a remark\nname: small\nformat: 1\n")
    assert folders.activate().releases == first.releases


def test_the_same_version_with_another_content_is_refused(folders: Folders) -> None:
    folders.activate()
    folders.change(folders.pack / "discover.yaml", "meters: 50", "meters: 60")
    with pytest.raises(Refused) as refused:
        folders.activate()
    assert refused.value.code == "version_reused"
    assert "the pack small" in refused.value.sentence.en
    assert queries.current().case_type("small:E0101").duplicate.meters == 50


def test_the_same_district_version_with_another_content_is_refused(folders: Folders) -> None:
    folders.activate()
    folders.change(folders.district / "district.yaml", "amount: 0.25", "amount: 0.5")
    folders.change(folders.pack / "pack.yaml", "version: 1.0.0", "version: 1.1.0")
    with pytest.raises(Refused) as refused:
        folders.activate()
    assert "district's own values" in refused.value.sentence.en


def test_a_pack_keeps_its_version_under_another_district_version(folders: Folders) -> None:
    folders.activate()
    folders.change(folders.district / "district.yaml", "version: 1.0.0", "version: 1.0.1")
    folders.change(folders.district / "district.yaml", "amount: 0.25", "amount: 0.75")
    assert folders.activate().new == ("small 1.0.0+410104.1.0.1",)


def test_an_old_case_keeps_the_standard_under_which_it_was_opened(folders: Folders) -> None:
    old = folders.activate().releases["small"]
    folders.change(folders.pack / "pack.yaml", "version: 1.0.0", "version: 2.0.0")
    folders.change(folders.pack / "tables/conditions.csv", "E0101,1,yes,2,", "E0101,1,yes,6,")
    folders.change(folders.district / "district.yaml", "version: 1.0.0", "version: 2.0.0")
    folders.change(folders.district / "district.yaml", 'hours: [["08:00", "12:00"], ["13:30", "17:30"]], ', "")
    new = folders.activate().releases["small"]
    assert new != old
    assert queries.current().case_type("small:E0101").condition().limit == Limit(6, Clock.URGENT_HOUR)
    assert queries.current().case_type("small:E0101").release == new
    then = queries.release(old)
    assert then.case_type("small:E0101").condition().limit == Limit(2, Clock.URGENT_HOUR)
    assert str(then.calendar.hours[1][0]) == "13:30:00"
    assert str(queries.current().calendar.hours[1][0]) == "14:00:00"


def test_going_back_to_an_earlier_version_puts_its_release_into_force_again(folders: Folders) -> None:
    with clock.frozen(datetime(2022, 9, 1, tzinfo=UTC)):
        old = folders.activate().releases["small"]
    folders.change(folders.pack / "pack.yaml", "version: 1.0.0", "version: 1.0.1")
    with clock.frozen(datetime(2022, 9, 2, tzinfo=UTC)):
        new = folders.activate().releases["small"]
    assert PackRelease.objects.get(pk=old).retired_at == datetime(2022, 9, 2, tzinfo=UTC)
    folders.change(folders.pack / "pack.yaml", "version: 1.0.1", "version: 1.0.0")
    assert folders.activate().releases["small"] == old
    assert PackRelease.objects.get(pk=old).retired_at is None
    assert PackRelease.objects.get(pk=new).retired_at is not None


def test_a_pack_that_is_not_named_any_more_is_retired(folders: Folders, tmp_path: Path) -> None:
    folders.activate(own=False)
    other = tmp_path / "other"
    shutil.copytree(folders.pack, other)
    folders.change(other / "pack.yaml", "name: small", "name: other")
    done = activate_packs(folders=[other], actor="system")
    assert done.retired == ("small",)
    assert set(queries.current().case_types) == {"other:E0101", "other:C0101"}


def test_a_mistake_in_one_of_two_packs_activates_neither(folders: Folders, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folders.pack, other)
    folders.change(folders.pack / "discover.yaml", "meters: 50", "meters: near")
    with pytest.raises(Mistakes) as found:
        activate_packs(folders=[folders.pack, other], actor="system")
    places = [m.place for m in found.value.mistakes]
    assert "small/discover.yaml:7 duplicates.default.meters" in places
    assert "other/pack.yaml:2 name" in places
    assert PackRelease.objects.count() == 0


def test_asking_again_costs_no_query_for_a_second_and_then_one(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.activate()
    queries.current()
    assert _queries(queries.current) == 0
    now = monotonic()
    monkeypatch.setattr(queries, "monotonic", lambda: now + queries.FRESH_SECONDS + 0.1)
    before = queries.current
    held = queries.current()
    monkeypatch.setattr(queries, "monotonic", lambda: now + 2 * queries.FRESH_SECONDS + 0.2)
    assert _queries(before) == 1
    assert queries.current() is held
    assert _queries(lambda: queries.release(held.releases[0])) == 0


def test_a_release_by_another_process_is_seen_within_a_second(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.activate()
    assert queries.current().case_types
    PackRelease.objects.update(retired_at=clock.now())  # as another process would
    assert queries.current().case_types
    now = monotonic()
    monkeypatch.setattr(queries, "monotonic", lambda: now + queries.FRESH_SECONDS)
    assert not queries.current().case_types


def test_without_packs_nothing_is_known_and_every_type_is_refused() -> None:
    assert queries.current().releases == ()
    with pytest.raises(Refused):
        queries.current().case_type("small:E0101")
    with pytest.raises(Refused) as refused:
        queries.release(4711)
    assert refused.value.status == 404


def test_checking_reads_a_folder_and_touches_no_database(folders: Folders) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert check_packs(folders.pack).ok
        (folders.pack / "handle.yaml").unlink()
        result = check_packs(folders.pack)
    assert [m.place for m in result.mistakes] == ["small/handle.yaml"]
    assert len(captured) == 0


def test_frozen_time_is_the_time_of_activation(folders: Folders) -> None:
    at = datetime(2022, 7, 20, 1, tzinfo=UTC)
    with clock.frozen(at):
        release = folders.activate().releases["small"]
    assert PackRelease.objects.get(pk=release).activated_at - at < timedelta(seconds=1)

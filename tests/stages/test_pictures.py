"""What becomes of a photograph: its copies, what everybody may see of it, and whether it was used before."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import translation
from PIL import Image

from gridloop.cases.models import Case
from gridloop.handle import pictures
from gridloop.handle.actions import add_evidence, add_evidence_file
from gridloop.handle.models import Evidence, Fingerprint
from gridloop.handle.pictures import (
    make_served_copies,
    release_public_copy,
    reveal_origin,
    withhold_public_copy,
)
from gridloop.handle.queries import (
    folder,
    original_bytes,
    picture_headers,
    pictures_of,
    public_file,
    public_pictures_of,
    public_thumbnail_file,
    served_file,
    thumbnail_file,
    unlike_its_record,
)
from gridloop.handle.rules.blurring import Part
from gridloop.handle.rules.copies import upright
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.models import Event
from gridloop.people.viewer import SYSTEM
from tests.build import DAY, District, district
from tests.stages.pictures import jpeg, saved
from tests.unit.test_pictures import scene


class Everywhere:
    """A detector that finds one of its kind in the upper left quarter of every picture."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def find(self, image: Image.Image) -> list[Part]:
        return [Part(0.1, 0.1, 0.4, 0.4, self.kind)]


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests say the same whether the detectors are installed or not."""
    monkeypatch.setattr(pictures, "detectors", lambda: ())


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "detectors", lambda: (Everywhere("face"), Everywhere("plate")))


@pytest.fixture
def here(db: None, settings: Any, tmp_path: Path) -> Iterator[District]:
    settings.GRIDLOOP_DATA = tmp_path
    with clock.frozen(DAY):
        yield district()


def cases_of(here: District, many: int) -> list[Case]:
    """Cases at different places of the first grid."""
    found = []
    for n in range(many):
        lon, lat = here.place(east=0.1 + 0.8 * n / many)
        found.append(here.case(lon=lon, lat=lat))
    assert len({case.id for case in found}) == many
    return found


def shown(n: int, quality: int = 85) -> bytes:
    return saved(scene(n), "JPEG", quality=quality)


def added(
    here: District, case: Case, stage: str, content: bytes, *, ready: bool = True, by: str = "street"
) -> Evidence:
    row = add_evidence(case_id=case.id, stage=stage, content=content, viewer=here[by])
    if ready:
        make_served_copies([row.id])
        row.refresh_from_db()
    return row


def test_an_original_lies_sealed_on_the_disk_and_its_copies_beside_it(here: District) -> None:
    content = jpeg(gps=True)
    case = here.case()
    row = added(here, case, "before", content, ready=False)
    lies = (folder() / row.original).read_bytes()
    assert b"TestCamera" in content
    assert b"TestCamera" not in lies
    assert b"JFIF" not in lies
    assert original_bytes(row) == content
    assert [p.ready for p in pictures_of([case.id], here["street"])[case.id]] == [False]
    with pytest.raises(Refused) as caught:
        thumbnail_file(here["street"], row.id)
    assert caught.value.status == 503

    make_served_copies([row.id])
    make_served_copies([row.id])  # told twice, made once
    row.refresh_from_db()
    with Image.open(thumbnail_file(here["street"], row.id)) as small:
        assert small.format == "WEBP"
    assert served_file(here["street"], row.id).suffix == ".jpg"
    assert (row.width, row.height) == (64, 48)
    assert list(unlike_its_record()) == []
    for name in (row.thumbnail, row.served, row.original):
        right = (folder() / name).read_bytes()
        (folder() / name).write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        assert [f.kind for f in unlike_its_record()] == ["evidence_changed"]
        (folder() / name).write_bytes(right)
    assert list(unlike_its_record()) == []


def test_without_detectors_nobody_outside_sees_a_picture_until_a_person_releases_it(here: District) -> None:
    case = here.case()
    row = added(here, case, "after", shown(1))
    assert row.public_state == "withheld"
    assert public_pictures_of([case.id]) == {}
    with pytest.raises(Refused) as caught:
        public_file(case.id, row.id)
    assert caught.value.status == 404

    hide = [(0.25, 0.25, 0.5, 0.5)]
    release_public_copy(evidence_id=row.id, reason="nobody is in it", hide=hide, viewer=here["street"])
    (public,) = public_pictures_of([case.id])[case.id]
    assert (public.id, public.stage, public.width, public.height) == (row.id, "after", 800, 600)
    with Image.open(public_file(case.id, row.id)) as copy, Image.open(served_file(here["street"], row.id)) as own:
        middle, corner = (210, 160, 390, 290), (500, 350, 790, 590)
        assert _edges(copy.crop(middle)) < _edges(own.crop(middle)) / 4
        assert abs(_edges(copy.crop(corner)) - _edges(own.crop(corner))) < 9
    with Image.open(public_thumbnail_file(case.id, row.id)) as small:
        assert (small.format, small.size) == ("WEBP", (320, 240))
    event = Event.objects.get(name="PublicCopyReleased")
    assert (event.subject, event.data["evidence"], event.data["hidden"]) == (f"case:{case.id}", row.id, 1)
    assert event.data["reason"] == "nobody is in it"
    with pytest.raises(Refused):
        public_file(case.id + 1, row.id)
    assert list(unlike_its_record()) == []


def _edges(image: Image.Image) -> float:
    """How sharp the sharpest edge is: the widest step from a point to the next."""
    grey = np.asarray(image.convert("L"), dtype=float)
    return float(np.abs(np.diff(grey, axis=1)).max())


def test_with_detectors_everybody_sees_a_copy_in_which_all_that_was_found_is_blurred(
    here: District, looking: None
) -> None:
    case = here.case()
    row = added(here, case, "after", shown(1))
    assert row.public_state == "blurred"
    assert [part[4] for part in row.hidden_parts] == ["face", "plate"]
    assert [p.id for p in public_pictures_of([case.id])[case.id]] == [row.id]
    with Image.open(public_file(case.id, row.id)) as copy, Image.open(served_file(here["street"], row.id)) as own:
        found = (90, 70, 310, 230)
        assert _edges(copy.crop(found)) < _edges(own.crop(found)) / 4


def test_a_detector_that_is_missing_leaves_the_picture_withheld(
    here: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "detectors", lambda: (Everywhere("face"),))
    assert added(here, here.case(), "after", shown(1)).public_state == "withheld"


def test_a_picture_that_was_public_can_be_taken_back_and_its_file_is_gone(
    here: District, looking: None, django_capture_on_commit_callbacks: Any
) -> None:
    case = here.case()
    row = added(here, case, "after", shown(1))
    first = public_file(case.id, row.id)
    with django_capture_on_commit_callbacks(execute=True):
        release_public_copy(evidence_id=row.id, reason="one more face", hide=[(0, 0, 0.6, 0.6)], viewer=here["street"])
    second = public_file(case.id, row.id)
    assert second != first, "a cache that has the first does not answer for the second"
    assert not first.exists()
    with django_capture_on_commit_callbacks(execute=True):
        withhold_public_copy(evidence_id=row.id, reason="a child is in it", viewer=here["street"])
    assert not second.exists()
    assert public_pictures_of([case.id]) == {}
    assert [e.name for e in Event.objects.filter(name__startswith="PublicCopy").order_by("id")] == [
        "PublicCopyReleased",
        "PublicCopyWithheld",
    ]
    with django_capture_on_commit_callbacks(execute=True):
        again = release_public_copy(evidence_id=row.id, reason="looked at again", viewer=here["street"])
    assert [part[4] for part in again.hidden_parts] == ["hand"], "what was blurred stays so unless one says otherwise"


def test_a_release_needs_a_permission_a_case_that_one_sees_a_reason_and_rectangles_in_the_picture(
    here: District,
) -> None:
    case = here.case()
    row = added(here, case, "after", shown(1))
    told: list[tuple[str, str, Any, int]] = [
        ("worker1", "nobody is in it", None, 403),
        ("law1", "nobody is in it", None, 403),
        ("street", " no ", None, 422),
        ("street", "nobody is in it", [(0.5, 0.5, 0.4, 0.6)], 422),
        ("street", "nobody is in it", [(0, 0, 1.2, 1)], 422),
        ("street", "nobody is in it", [(0, 0, 1)], 422),
        ("street", "nobody is in it", [("a", 0, 1, 1)], 422),
        ("street", "nobody is in it", [(0, 0, 1, 1)] * 201, 422),
    ]
    for who, reason, hide, status in told:
        with pytest.raises(Refused) as caught:
            release_public_copy(evidence_id=row.id, reason=reason, hide=hide, viewer=here[who])
        assert caught.value.status == status
    with pytest.raises(Refused) as caught:
        withhold_public_copy(evidence_id=row.id + 1, reason="nobody is in it", viewer=here["street"])
    assert caught.value.status == 404
    waiting = added(here, case, "after", shown(2), ready=False)
    with pytest.raises(Refused) as caught:
        release_public_copy(evidence_id=waiting.id, reason="nobody is in it", viewer=here["street"])
    assert caught.value.status == 503
    assert not Event.objects.filter(name__startswith="PublicCopy").exists()


def test_a_picture_of_the_work_that_was_used_before_is_shown_as_such(here: District) -> None:
    first, second = cases_of(here, 2)
    before = added(here, first, "before", shown(1))
    honest = added(here, first, "after", shown(2))
    same_case = added(here, first, "after", shown(1, quality=55))
    mirrored = saved(scene(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((640, 480)), "JPEG")
    other_case = added(here, second, "after", mirrored)
    reported = added(here, second, "report", shown(2))

    found = {p.id: p.recycled for case in pictures_of([first.id, second.id], SYSTEM).values() for p in case}
    assert found[before.id] is found[honest.id] is None
    assert found[reported.id] is None, "what a citizen sends need not be new"
    again, elsewhere = found[same_case.id], found[other_case.id]
    assert again
    assert (again.same_case, again.evidence_id) == (True, before.id)
    assert elsewhere
    assert (elsewhere.same_case, elsewhere.case_id, elsewhere.evidence_id) == (False, first.id, honest.id)
    assert elsewhere.bits <= 31
    assert Fingerprint.objects.count() == 5


def test_who_may_not_see_the_other_case_learns_that_there_is_one_and_no_more(here: District) -> None:
    mine, other = cases_of(here, 2)
    added(here, other, "after", shown(1))
    row = added(here, mine, "after", shown(1))
    Case.objects.filter(id=other.id).update(region_code="410104999999", unit=None, person=None)
    (picture,) = pictures_of([mine.id, other.id], here["worker1"])[mine.id]
    assert picture.id == row.id
    assert picture.recycled
    assert (picture.recycled.evidence_id, picture.recycled.case_id) == (None, None)


def test_pictures_of_many_cases_are_asked_for_in_one_query(here: District, django_assert_num_queries: Any) -> None:
    cases = cases_of(here, 4)
    for n, case in enumerate(cases[:3]):
        added(here, case, "before", shown(n))
        added(here, case, "after", shown(n + 3))
    ids = [case.id for case in cases]
    with django_assert_num_queries(1):
        found = pictures_of(ids, here["street"])
    assert {i: [p.stage for p in rows] for i, rows in found.items()} == {i: ["before", "after"] for i in ids[:3]}
    assert pictures_of(ids, here["law1"]) == {}
    with django_assert_num_queries(1):
        assert public_pictures_of(ids) == {}


def test_what_a_picture_says_of_its_taking_is_sealed_and_shown_to_a_reviewer_with_a_reason(here: District) -> None:
    case = here.case()
    row = added(here, case, "before", jpeg(gps=True))
    assert row.hidden
    assert b"34.7" not in bytes(row.hidden)
    for who, reason, status in (("street", "the time is disputed", 403), ("shift", "  ", 422)):
        with pytest.raises(Refused) as caught:
            reveal_origin(evidence_id=row.id, reason=reason, viewer=here[who])
        assert caught.value.status == status
    found = reveal_origin(evidence_id=row.id, reason="the time is disputed", viewer=here["shift"])
    assert found.taken
    assert (found.taken.lat, found.taken.lon) == (34.742083, 113.684028)
    assert Event.objects.get(name="OriginRevealed").data == {"evidence": row.id, "reason": "the time is disputed"}
    plain = added(here, case, "before", shown(1))
    assert reveal_origin(evidence_id=plain.id, reason="the time is disputed", viewer=here["shift"]).taken is None


def test_a_file_that_came_in_pieces_is_judged_where_it_lies(here: District, tmp_path: Path) -> None:
    case = here.case()
    piece = tmp_path / "arriving.part"
    piece.write_bytes(shown(1))
    row = add_evidence_file(case_id=case.id, stage="before", path=piece, viewer=here["street"])
    assert original_bytes(row) == piece.read_bytes()
    piece.write_bytes(b"<svg/>")
    with pytest.raises(Refused, match="Only JPEG"):
        add_evidence_file(case_id=case.id, stage="before", path=piece, viewer=here["street"])


def test_a_picture_is_answered_as_a_picture_and_nothing_else() -> None:
    headers = picture_headers(Path("x.webp"), "17")
    assert headers["Content-Type"] == "image/webp"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"] == 'inline; filename="17.webp"'
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert picture_headers(Path("x.jpg"), "17")["Content-Type"] == "image/jpeg"


def test_a_picture_of_forty_million_points_becomes_a_copy_for_a_screen() -> None:
    out = io.BytesIO()
    Image.new("1", (6_300, 6_300)).save(out, "PNG")
    found = upright(out.getvalue())
    assert (found.width, found.image.size) == (6_300, (1_600, 1_600))

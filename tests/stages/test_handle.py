"""Evidence: what is taken, what is refused, what is kept and what is shown."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import translation
from PIL import Image

from gridloop.cases.rules import Move
from gridloop.handle import actions
from gridloop.handle.actions import add_evidence, hand_back, self_handle
from gridloop.handle.models import Evidence
from gridloop.handle.pictures import make_served_copies
from gridloop.handle.queries import evidence_for, folder, original_bytes, photographs, served_file
from gridloop.handle.rules import MAX_BYTES, examine
from gridloop.handle.rules.copies import served_copy
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.models import Event
from gridloop.people.viewer import SYSTEM
from tests.build import DAY, District, district
from tests.stages.desk import Desk
from tests.stages.pictures import archive, bomb, drawn, jpeg, png, saved

GOOD: dict[str, Callable[[], bytes]] = {
    "a JPEG": jpeg,
    "a JPEG with a place and a camera in it": lambda: jpeg(gps=True),
    "a JPEG lying on its side": lambda: jpeg(orientation=6),
    "a progressive JPEG": lambda: saved(drawn(), "JPEG", progressive=True),
    "a grey JPEG": lambda: saved(drawn().convert("L"), "JPEG"),
    "a CMYK JPEG": lambda: saved(drawn().convert("CMYK"), "JPEG"),
    "a JPEG of two lenses": lambda: saved(drawn(), "MPO", save_all=True, append_images=[drawn("after")]),
    "a JPEG with a telephone's bytes behind it": lambda: jpeg() + b"trailer of a telephone" * 20,
    "a PNG": png,
    "a PNG that one can see through": lambda: saved(drawn().convert("RGBA"), "PNG"),
    "a PNG with a palette": lambda: saved(drawn().convert("P"), "PNG"),
    "a PNG of sixteen bits": lambda: saved(Image.new("I;16", (20, 20), 4000), "PNG"),
    "a WebP": lambda: saved(drawn(), "WEBP"),
    "a WebP that moves": lambda: saved(drawn(), "WEBP", save_all=True, append_images=[drawn("after")]),
}
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "empty"),
    "text": (lambda: "路灯坏了".encode(), "Only JPEG"),
    "a page": (lambda: b"<html><script>alert(1)</script></html>", "Only JPEG"),
    "a drawing with a script": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "Only JPEG"),
    "a PDF": (lambda: b"%PDF-1.7\n%%EOF", "Only JPEG"),
    "a GIF": (lambda: saved(drawn().convert("P"), "GIF"), "Only JPEG"),
    "a BMP": (lambda: saved(drawn(), "BMP"), "Only JPEG"),
    "a TIFF": (lambda: saved(drawn(), "TIFF"), "Only JPEG"),
    "an archive": (archive, "Only JPEG"),
    "a sound in a RIFF": (lambda: b"RIFF\x24\x00\x00\x00WAVEfmt ", "Only JPEG"),
    "a HEIC": (lambda: b"\x00\x00\x00\x18ftypheic" + b"\0" * 40, "Only JPEG"),
    "a JPEG's first bytes alone": (lambda: b"\xff\xd8\xff\xe0", "damaged"),
    "a JPEG cut in half": (lambda: jpeg()[: len(jpeg()) // 2], "damaged"),
    "a PNG cut short": (lambda: png()[:-40], "damaged"),
    "a PNG with an archive behind it": (lambda: png() + archive(), "archive"),
    "a JPEG with an archive behind it": (lambda: jpeg() + archive(), "archive"),
    "a PNG with a GIF's inside": (lambda: b"\x89PNG\r\n\x1a\n" + saved(drawn().convert("P"), "GIF"), "damaged"),
    "a WebP's head on noise": (lambda: b"RIFF\x20\x00\x00\x00WEBPVP8 " + b"\x07" * 40, "damaged"),
    "a bomb of 49 million pixels": (lambda: bomb(7_000), "40 million"),
    "a bomb of 400 million pixels": (lambda: bomb(20_000), "40 million"),
    "more than 20 MB": (lambda: jpeg() + b"\0" * MAX_BYTES, "20 MB"),
}


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.mark.parametrize("name", GOOD)
def test_an_honest_photograph_is_taken_and_its_copy_carries_nothing_but_the_picture(name: str) -> None:
    content = GOOD[name]()
    picture = examine(content)
    copy = served_copy(content)
    with Image.open(io.BytesIO(copy)) as image:
        assert image.format == "JPEG"
        assert not image.getexif()
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}
        upright = (picture.height, picture.width) if "side" in name else (picture.width, picture.height)
        assert image.size == upright
    assert b"TestCamera" not in copy
    assert b"telephone" not in copy
    assert copy == served_copy(content), "the same picture gives the same copy"


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_honest_photograph_is_refused_with_a_sentence(name: str) -> None:
    content, sentence = BAD[name]
    with pytest.raises(Refused, match=sentence) as caught:
        examine(content())
    assert (caught.value.status, caught.value.code) == (422, "bad_picture")


def test_a_large_photograph_is_served_small() -> None:
    with Image.open(io.BytesIO(served_copy(png(size=(3200, 1000))))) as image:
        assert image.size == (1600, 500)


@pytest.fixture
def here(db: None, settings: object, tmp_path: Path) -> District:
    settings.GRIDLOOP_DATA = tmp_path  # type: ignore[attr-defined]
    with clock.frozen(DAY):
        return district()


def test_the_original_is_kept_byte_for_byte_and_only_the_copy_is_shown(here: District) -> None:
    content = jpeg(gps=True)
    with clock.frozen(DAY):
        case = here.case()
        row = add_evidence(case_id=case.id, stage="before", content=content, viewer=here["street"])
        with pytest.raises(Refused, match="being prepared"):
            served_file(here["street"], row.id)
        here.drain()
    row.refresh_from_db()
    assert row.sha256 == hashlib.sha256(content).hexdigest()
    assert original_bytes(row) == content
    assert content not in (folder() / row.original).read_bytes()
    copy = served_file(here["street"], row.id).read_bytes()
    assert copy != content
    assert b"TestCamera" in content
    assert b"TestCamera" not in copy
    assert hashlib.sha256(copy).hexdigest() == row.served_sha256
    event = Event.objects.get(name="EvidenceAdded")
    assert event.data == {"evidence": row.id, "stage": "before", "sha256": row.sha256, "size": len(content)}
    with pytest.raises(Refused) as caught:
        served_file(here["law1"], row.id)
    assert caught.value.status == 404
    assert not evidence_for(here["law1"]).exists()
    assert evidence_for(SYSTEM).count() == 1


def test_the_same_bytes_for_the_same_step_are_the_same_evidence(here: District) -> None:
    with clock.frozen(DAY):
        case = here.case()
        first, again = (
            add_evidence(case_id=case.id, stage="before", content=jpeg(), viewer=here["street"]) for _ in range(2)
        )
        other = add_evidence(case_id=case.id, stage="after", content=jpeg(), viewer=here["street"])
    assert first.id == again.id != other.id
    assert photographs([case.id]) == {case.id: (1, 1)}


def test_a_case_holds_so_many_photographs_and_no_more(here: District, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MAX_FILES", 3)
    with clock.frozen(DAY):
        case = here.case()
        for n in range(3):
            add_evidence(case_id=case.id, stage="before", content=png(f"n{n}"), viewer=here["street"])
        with pytest.raises(Refused, match="3 photographs at most"):
            add_evidence(case_id=case.id, stage="before", content=png("one more"), viewer=here["street"])
    assert Evidence.objects.count() == 3


def test_evidence_needs_a_case_that_one_sees_a_known_step_and_a_permission(here: District) -> None:
    with clock.frozen(DAY):
        case = here.case()
        for viewer, stage, status in (("law1", "before", 404), ("street", "selfie", 422), ("lead", "before", 403)):
            with pytest.raises(Refused) as caught:
                add_evidence(case_id=case.id, stage=stage, content=jpeg(), viewer=here[viewer])
            assert caught.value.status == status
    assert not Evidence.objects.exists()
    assert not (folder()).exists(), "what is refused is not written"


def test_a_closed_case_takes_no_more_evidence(here: District) -> None:
    with clock.frozen(DAY):
        case = Desk(here).bring("closed")
        with pytest.raises(Refused, match="closed"):
            add_evidence(case_id=case.id, stage="after", content=jpeg(), viewer=here["clean1"])


def test_handing_back_counts_the_photographs_that_there_are(here: District) -> None:
    with clock.frozen(DAY):
        case = here.case()
        move = Move(case_id=case.id, verb="hand_back", evidence=(9, 9))
        with pytest.raises(Refused, match="1 before and 1 after"):
            hand_back([move], viewer=here["street"])
        add_evidence(case_id=case.id, stage="report", content=jpeg("told"), viewer=here["street"])
        with pytest.raises(Refused, match="0 before and 1 after"):
            hand_back([move], viewer=here["street"])
        add_evidence(case_id=case.id, stage="after", content=jpeg("after"), viewer=here["street"])
        (done,) = hand_back([move], viewer=here["street"])
    assert done.state == "handled"
    assert Event.objects.get(name="CaseHandedBack").data["about"]["photos"] == [1, 1]


def test_a_grid_worker_puts_it_right_on_the_spot_and_shows_it(here: District) -> None:
    with clock.frozen(DAY):
        case = here.case()
        assert case.state == "dispatched"
        for stage in ("before", "after"):
            add_evidence(case_id=case.id, stage=stage, content=jpeg(stage), viewer=here["worker1"])
        done = self_handle(case_id=case.id, viewer=here["worker1"], version=case.version)
    assert (done.state, done.self_handled, done.unit_id) == ("handled", True, here.units["SQ1"])


def test_a_copy_is_not_made_of_a_file_that_was_exchanged(here: District) -> None:
    with clock.frozen(DAY):
        case = here.case()
        row = add_evidence(case_id=case.id, stage="before", content=jpeg(), viewer=here["street"])
    (folder() / row.original).write_bytes(jpeg("another"))
    with pytest.raises(ValueError, match="not what was received"):
        make_served_copies([row.id])

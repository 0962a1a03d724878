"""What is taken as a picture, what its copies carry, what it looks like, and what is hidden in it."""

from __future__ import annotations

import io
import random
import resource
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from gridloop.handle.rules import examine
from gridloop.handle.rules.blurring import Part, looked_for, to_hide
from gridloop.handle.rules.copies import as_jpeg, as_thumbnail, blurred, served_copy, upright
from gridloop.handle.rules.finding import _field, _fields, _parts, _varint, detectors, for_any_size
from gridloop.handle.rules.hidden import taken
from gridloop.handle.rules.likeness import NEARLY, likeness
from gridloop.kernel.errors import Refused
from tests.stages.hostile import EACH, FAMILIES, family
from tests.stages.pictures import jpeg, png, saved

REFUSED = [name for name, (verdict, _) in FAMILIES.items() if verdict == "refused"]
CLEAN = [name for name, (verdict, _) in FAMILIES.items() if verdict == "clean"]
SECONDS = 2.0
MEGABYTES = 256


def _peak() -> float:
    """The most memory that this process ever held, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("name", REFUSED)
def test_forty_files_of_each_hostile_family_are_refused_with_a_sentence(name: str) -> None:
    slowest, before = 0.0, _peak()
    for content in family(name):
        start = time.process_time()
        with pytest.raises(Refused) as caught:
            examine(content)
        slowest = max(slowest, time.process_time() - start)
        assert (caught.value.status, caught.value.code) == (422, "bad_picture")
        assert caught.value.sentence.zh
        assert caught.value.sentence.en
    assert slowest < SECONDS
    assert _peak() - before < MEGABYTES


@pytest.mark.parametrize("name", CLEAN)
def test_what_lies_beside_the_pixels_of_an_honest_picture_reaches_nobody(name: str) -> None:
    before = _peak()
    for content in family(name):
        start = time.process_time()
        examine(content)
        shown = upright(content).image
        for copy in (served_copy(content), as_thumbnail(shown), as_jpeg(blurred(shown, []))):
            assert b"SecretCamera" not in copy
            assert b"SN-000" not in copy
            with Image.open(io.BytesIO(copy)) as image:
                assert image.format in ("JPEG", "WEBP")
                assert not image.getexif()
                assert "xmp" not in image.info
                assert getattr(image, "n_frames", 1) == 1
        assert time.process_time() - start < SECONDS
    assert _peak() - before < MEGABYTES


def test_the_families_are_forty_each_and_the_same_each_time() -> None:
    assert {name: len(list(family(name))) for name in ("noise", "a drawing with a script")} == {
        "noise": EACH,
        "a drawing with a script": EACH,
    }
    assert list(family("noise")) == list(family("noise"))


def test_a_copy_is_upright_of_screen_size_and_knows_how_large_the_original_was() -> None:
    lying = Image.new("RGB", (3000, 2000), "white")
    lying.paste("red", (0, 0, 1500, 1000))  # upper left; turned by orientation 6 it is upper right
    exif = Image.Exif()
    exif[0x0112] = 6
    found = upright(saved(lying, "JPEG", exif=exif))
    assert (found.width, found.height) == (2000, 3000)
    assert found.image.size == (1067, 1600)
    right, left = found.image.getpixel((900, 200)), found.image.getpixel((100, 200))
    assert isinstance(right, tuple)
    assert isinstance(left, tuple)
    assert right[1] < 60
    assert left[1] > 200
    with Image.open(io.BytesIO(as_thumbnail(found.image))) as small:
        assert (small.format, small.size) == ("WEBP", (213, 320))


# --- what a picture looks like ---------------------------------------------------------------------------------------


def scene(n: int) -> Image.Image:
    """Something with shapes in it; another for each number."""
    seed = random.Random(n)
    image = Image.new("RGB", (800, 600), (seed.randrange(255), seed.randrange(255), seed.randrange(255)))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = seed.randrange(800), seed.randrange(600)
        box = (x, y, x + seed.randrange(20, 300), y + seed.randrange(20, 300))
        colour = (seed.randrange(255), seed.randrange(255), seed.randrange(255))
        seed.choice((draw.rectangle, draw.ellipse))(box, fill=colour)
    return image.filter(ImageFilter.GaussianBlur(1))


def differ(a: Image.Image, b: Image.Image) -> int:
    """In how many bits two pictures differ, or the first and the mirror image of the second."""
    one, other = likeness(a), likeness(b)
    assert one
    assert other
    return min(sum(x != y for x, y in zip(one.bits, way, strict=True)) for way in (other.bits, other.mirrored))


def saved_anew(image: Image.Image, quality: int, size: tuple[int, int] | None = None) -> Image.Image:
    content = saved(image.resize(size) if size else image, "JPEG", quality=quality)
    return Image.open(io.BytesIO(content)).convert("RGB")


@pytest.mark.parametrize("n", range(6))
def test_a_picture_that_was_saved_anew_shrunk_brightened_or_mirrored_is_known_again(n: int) -> None:
    image = scene(n)
    for other in (
        saved_anew(image, 40),
        saved_anew(image, 80, (400, 300)),
        image.point(lambda v: min(255, int(v * 1.15) + 5)),
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ):
        assert differ(image, other) <= NEARLY
    assert all(differ(image, scene(other)) > 2 * NEARLY for other in range(6) if other != n)


def test_of_a_wall_in_the_fog_no_fingerprint_is_taken() -> None:
    assert likeness(Image.new("RGB", (640, 480), (90, 90, 90))) is None
    fog = np.linspace(120, 126, 640 * 480).reshape(480, 640).astype(np.uint8)
    assert likeness(Image.fromarray(fog).convert("RGB")) is None
    found = likeness(scene(1))
    assert found
    assert len(found.bits) == len(found.mirrored) == 256
    assert abs(found.bits.count("1") - 128) <= 1


def test_even_a_tiny_picture_has_a_fingerprint_or_none_but_no_error() -> None:
    for size in ((1, 1), (1, 400), (3, 7), (64, 64)):
        likeness(Image.effect_noise(size, 90).convert("RGB"))


# --- what is hidden in it --------------------------------------------------------------------------------------------


def test_where_and_when_a_picture_says_that_it_was_taken_is_read() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "2026:03:01 14:05:00", 0x9011: "+08:00"})
    exif.get_ifd(0x8825).update({1: "S", 2: (34.0, 44.0, 31.5), 3: "E", 4: (113.0, 41.0, 2.5)})
    found = taken(saved(scene(1), "JPEG", exif=exif))
    assert found
    assert (found.lat, found.lon, found.at) == (-34.742083, 113.684028, "2026-03-01T14:05:00+08:00")
    half = taken(jpeg(gps=True))
    assert half
    assert (half.lat, half.at) == (34.742083, "")


@pytest.mark.parametrize(
    "gps",
    [
        {1: "N", 2: (99.0, 0.0, 0.0), 3: "E", 4: (113.0, 0.0, 0.0)},
        {2: (34.0, 0.0, 0.0), 4: (113.0, 0.0, 0.0)},
        {1: "N", 2: 34.0, 3: "E", 4: 113.0},
        {1: "N", 2: (34.0, 44.0, 31.5)},
    ],
)
def test_hidden_data_that_makes_no_sense_says_nothing(gps: dict[int, object]) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "yesterday"
    exif.get_ifd(0x8825).update(gps)
    assert taken(saved(scene(1), "JPEG", exif=exif)) is None


def test_of_a_picture_without_hidden_data_nothing_is_said() -> None:
    assert taken(png()) is None
    assert taken(b"no picture") is None


# --- what is hidden on the public copy -------------------------------------------------------------------------------


def test_what_was_blurred_cannot_be_seen_and_the_rest_is_as_it_was() -> None:
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).text((120, 110), "A 12345", fill="black", font_size=40)
    hidden = blurred(image, [Part(0.25, 0.3, 0.75, 0.6, "plate")])
    inside = np.asarray(hidden.crop((110, 95, 290, 175)).convert("L"), dtype=float)
    assert np.abs(np.diff(inside, axis=1)).max() < 12, "no edge of a letter is left"
    outside = np.asarray(image.crop((0, 0, 400, 89)))
    assert (np.asarray(hidden.crop((0, 0, 400, 89))) == outside).all()
    assert image.getpixel((0, 0)) == hidden.getpixel((0, 0))


def test_a_part_covers_at_least_what_it_says_and_never_leaves_the_picture() -> None:
    part = Part(0.101, 0.101, 0.199, 0.199, "face")
    assert part.pixels(100, 100) == (10, 10, 20, 20)
    assert part.wider(9).pixels(100, 100) == (0, 0, 100, 100)
    for odd in (Part(0.5, 0.5, 0.5, 0.9, "hand"), Part(0.999, 0.999, 1, 1, "hand")):
        assert blurred(Image.new("RGB", (7, 5)), [odd]).size == (7, 5)


class _Marked:
    """A detector of pure red, to test what is done with what a detector says."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def find(self, image: Image.Image) -> list[Part]:
        red = (np.asarray(image).astype(int) @ np.array([1, -1, -1])) > 200
        rows, columns = np.nonzero(red)
        if not len(rows):
            return []
        high, wide = red.shape
        return [
            Part(
                columns.min() / wide, rows.min() / high, (columns.max() + 1) / wide, (rows.max() + 1) / high, self.kind
            )
        ]


def test_only_who_looks_for_faces_and_for_plates_has_looked_for_all() -> None:
    assert not looked_for([])
    assert not looked_for([_Marked("face")])
    assert looked_for([_Marked("face"), _Marked("plate")])


def test_what_a_detector_finds_is_hidden_a_little_wider_than_it_was_found() -> None:
    image = Image.new("RGB", (200, 100), "white")
    image.paste((255, 0, 0), (80, 40, 120, 60))
    (part,) = to_hide(image, [_Marked("face")])
    assert (round(part.left, 3), round(part.top, 3), round(part.right, 3)) == (0.37, 0.37, 0.63)
    colours = blurred(image, [part]).getcolors(maxcolors=100_000)
    assert colours
    assert not any(colour == (255, 0, 0) for _, colour in colours)


def test_of_boxes_that_overlap_the_surest_stays() -> None:
    boxes = np.array(
        [[0.1, 0.1, 0.3, 0.3, 0.9], [0.11, 0.1, 0.31, 0.3, 0.8], [0.6, 0.6, 1.2, 1.4, 0.7], [0.5, 0.5, 0.6, 0.6, 0.1],
         [np.nan, 0, 1, 1, 0.9], [0.4, 0.4, 0.4, 0.5, 0.9]], dtype=np.float32,
    )  # fmt: skip
    found = _parts(boxes, 0.5, "face")
    assert [(round(p.left, 2), round(p.right, 2)) for p in found] == [(0.1, 0.3), (0.6, 1.0)]
    assert _parts(np.zeros((0, 5), dtype=np.float32), 0.5, "face") == []


def test_a_model_saved_for_one_size_is_told_to_take_any() -> None:
    def described(name: bytes, side: int) -> bytes:
        shape = b"".join(_field(1, _field(1, side)) for _ in range(4))
        return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))

    weights = _field(5, b"weights" * 40)
    graph = weights + _field(11, described(b"image", 32)) + _field(11, described(b"other", 7))
    model = _field(1, 7) + _field(7, graph + _field(12, described(b"out", 8))) + _field(2, b"maker")
    again = for_any_size(model, b"image")
    fields = {number: value for number, value, _ in _fields(again)}
    assert (fields[1], fields[2]) == (7, b"maker")
    inside = fields[7]
    assert isinstance(inside, bytes)
    assert inside.startswith(weights)
    assert described(b"other", 7) in inside, "what was not asked for stays"
    assert described(b"image", 32) not in inside
    assert b"image/0" in inside
    assert b"out/3" in inside
    with pytest.raises(IndexError):
        _varint(b"\xff\xff", 0)


def drawn_face(draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """A face as a child draws it: nobody's."""
    skin, dark = (224, 172, 105), (40, 25, 15)
    draw.ellipse((x, y, x + side, y + 1.3 * side), fill=skin)
    draw.pieslice((x - 0.05 * side, y - 0.1 * side, x + 1.05 * side, y + 0.9 * side), 180, 360, fill=dark)
    draw.ellipse((x + 0.1 * side, y + 0.25 * side, x + 0.9 * side, y + 0.6 * side), fill=skin)
    for k in (0.2, 0.58):
        draw.ellipse((x + k * side, y + 0.48 * side, x + (k + 0.22) * side, y + 0.6 * side), fill="white")
        draw.ellipse((x + (k + 0.07) * side, y + 0.49 * side, x + (k + 0.15) * side, y + 0.59 * side), fill=dark)
    draw.polygon(
        ((x + 0.5 * side, y + 0.55 * side), (x + 0.43 * side, y + 0.82 * side), (x + 0.57 * side, y + 0.82 * side)),
        fill=(197, 151, 92),
    )
    draw.ellipse((x + 0.33 * side, y + 0.92 * side, x + 0.67 * side, y + 1.04 * side), fill=(170, 60, 60))


FACE, PLATES = (700, 400, 60), ((150, 900, 300), (700, 950, 180))
"""Left, top and width."""


def street() -> Image.Image:
    """Houses, a road, a drawn face at `FACE` and two drawn plates at `PLATES`."""
    seed = random.Random(1)
    image = Image.new("RGB", (1600, 1200), (150, 170, 190))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 700, 1600, 1200), fill=(90, 90, 92))
    for x in range(0, 1600, 200):
        colour = (seed.randrange(80, 180), seed.randrange(80, 180), seed.randrange(80, 180))
        draw.rectangle((x, 200 + seed.randrange(150), x + 190, 700), fill=colour)
    drawn_face(draw, *FACE)
    for x, y, wide in PLATES:
        draw.rectangle((x - wide, y - wide, x + 2 * wide, y + wide * 0.6), fill=(30, 30, 35))
        high = wide * 140 // 440
        draw.rectangle((x, y, x + wide, y + high), fill=(10, 60, 180))
        edge = wide // 60
        frame = (x + edge, y + edge, x + wide - edge, y + high - edge)
        draw.rectangle(frame, outline="white", width=max(1, wide // 110))
    return image


@pytest.mark.skipif(not looked_for(detectors()), reason="the `vision` extra is not installed")
def test_the_detectors_look_at_any_size_and_find_a_drawn_face_and_drawn_plates() -> None:
    found = to_hide(street().filter(ImageFilter.GaussianBlur(1)), detectors())
    wanted = [("face", FACE[0] + 30, FACE[1] + 40), *(("plate", x + w / 2, y + w * 70 / 440) for x, y, w in PLATES)]
    for what, x, y in wanted:
        boxes = [p.pixels(1600, 1200) for p in found if p.what == what]
        assert any(left < x < right and top < y < bottom for left, top, right, bottom in boxes), what
    for size in ((1, 1), (33, 1000), (4000, 30)):
        for part in to_hide(Image.effect_noise(size, 80).convert("RGB"), detectors()):
            assert 0 <= part.left < part.right <= 1
            assert 0 <= part.top < part.bottom <= 1

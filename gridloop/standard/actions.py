"""Checking packs and putting them into force."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db import connection, models, transaction

from gridloop.kernel import clock
from gridloop.kernel.errors import Mistake, Mistakes, Refused
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.standard import queries
from gridloop.standard.events import PacksActivated
from gridloop.standard.models import PackRelease
from gridloop.standard.rules import CheckResult, load_district, load_pack, run_tests
from gridloop.standard.rules import format as fmt
from gridloop.standard.rules.reading import LARGEST_TABLE

_OF_DISTRICT = ("district.yaml", "units.csv")
_LARGEST_FOLDER = 200
_LOCK = 0x5041434B  # "PACK"


@dataclass(frozen=True, slots=True)
class Activation:
    """What `activate_packs` did: release ids by pack name, those that are new, and the packs that were retired."""

    releases: dict[str, int]
    new: tuple[str, ...]
    retired: tuple[str, ...]


def files_of(folder: Path, *names: str) -> dict[str, bytes]:
    """The files of a folder and of the folders in it, or only those `names` that are there.

    Of a file that is too large only so much is read as shows it. Raises `Mistakes` for a folder that is not there or
    holds more than any pack does.
    """
    if not folder.is_dir():
        raise Mistakes(
            [
                Mistake(
                    str(folder),
                    Sentence(zh="没有这个文件夹", en="there is no such folder"),
                    Sentence(zh="写场景包的文件夹", en="name the folder of a pack"),
                )
            ]
        )
    found = sorted(p for p in (*folder.glob("*"), *folder.glob("*/*")) if p.is_file() and not p.name.startswith("."))
    if names:
        found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) > _LARGEST_FOLDER:
        raise Mistakes(
            [
                Mistake(
                    str(folder),
                    Sentence(zh=f"有 {len(found)} 个文件", en=f"there are {len(found)} files"),
                    Sentence(zh=f"至多 {_LARGEST_FOLDER} 个", en=f"{_LARGEST_FOLDER} at most"),
                )
            ]
        )
    files = {}
    for path in found:
        with path.open("rb") as file:
            files[path.relative_to(folder).as_posix()] = file.read(LARGEST_TABLE + 1)
    return files


def check_packs(folder: Path | str) -> CheckResult:
    """Everything that is wrong with the pack in `folder`, its tests included, and what they exercise.

    Reads files, touches no database. A pack whose files do not hold together is not run: the result then has the
    mistakes of the files and no coverage.
    """
    folder = Path(folder)
    try:
        pack, tests = load_pack(files_of(folder), folder.name)
    except Mistakes as found:
        return CheckResult(folder.name, "", tuple(found.mistakes), 0, {})
    return run_tests(pack, tests, folder.name)


def check_district(folder: Path | str, packs: Iterable[Path | str]) -> fmt.District:
    """The district's own values, checked against these packs. Raises `Mistakes`."""
    loaded = {Path(p).name: load_pack(files_of(Path(p)), Path(p).name)[0] for p in packs}
    folder = Path(folder)
    return load_district(files_of(folder, *_OF_DISTRICT), folder.name, loaded)


def activate_packs(*, folders: Sequence[Path | str], district: Path | str | None = None, actor: str) -> Activation:
    """Put these packs into force, under the district's own values, in place of all that were.

    Doing it twice changes nothing. A version that was once activated with another content is refused: open cases
    point at it. Raises `Mistakes` (nothing was activated) or `Refused` (409, ``version_reused``).
    """
    mistakes: list[Mistake] = []
    packs: dict[str, fmt.Pack] = {}
    for folder in map(Path, folders):
        try:
            packs[folder.name] = load_pack(files_of(folder), folder.name)[0]
        except Mistakes as found:
            mistakes += found.mistakes
    own: fmt.District | None = None
    if district is not None and not mistakes:
        try:
            own = load_district(files_of(Path(district), *_OF_DISTRICT), Path(district).name, packs)
        except Mistakes as found:
            mistakes += found.mistakes
    if mistakes:
        raise Mistakes(mistakes)
    wanted = own.district.packs if own else list(packs)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        activation = _activate({name: packs[name] for name in wanted}, own, actor)
    queries.forget()
    return activation


def _activate(packs: dict[str, fmt.Pack], own: fmt.District | None, actor: str) -> Activation:
    now = clock.now()
    suffix = f"+{own.district.code}.{own.district.version}" if own else ""
    kin = models.Q(name__in=packs) | (models.Q(version__endswith=suffix) if own else models.Q())
    before = list(PackRelease.objects.filter(kin))
    active = {r.name: r for r in PackRelease.objects.filter(retired_at=None).defer("content")}
    releases: dict[str, PackRelease] = {}
    new: list[str] = []
    for name, pack in packs.items():
        content = {"pack": pack.model_dump(mode="json"), "district": own.model_dump(mode="json") if own else None}
        for old in before:
            _refuse_reused(old, name, pack.pack.version + suffix, content)
        sha256 = _sha256(content)
        release = next((old for old in before if old.name == name and old.sha256 == sha256), None)
        PackRelease.objects.filter(name=name, retired_at=None).exclude(sha256=sha256).update(retired_at=now)
        if release is None:
            release = PackRelease.objects.create(
                name=name, version=pack.pack.version + suffix, sha256=sha256, content=content, activated_at=now
            )
            new.append(str(release))
        elif release.retired_at is not None:
            PackRelease.objects.filter(pk=release.pk).update(retired_at=None)
        releases[name] = release
    gone = sorted(set(active) - set(packs))
    PackRelease.objects.filter(name__in=gone, retired_at=None).update(retired_at=now)
    turned = [r for name, r in releases.items() if name not in active or active[name].pk != r.pk]
    if turned or gone:
        replaced = [str(active[r.name]) for r in turned if r.name in active]
        publish(
            [
                PacksActivated(
                    subject="standard:0",
                    actor=actor,
                    at=now,
                    activated=[str(r) for r in turned],
                    retired=[*replaced, *(str(active[name]) for name in gone)],
                    sha256={str(r): r.sha256 for r in turned},
                )
            ]
        )
    return Activation({name: r.pk for name, r in releases.items()}, tuple(new), tuple(gone))


def _refuse_reused(old: PackRelease, name: str, version: str, content: Mapping[str, object]) -> None:
    """Refuse a version (the pack's or the district's) that stands for something else already."""
    pack_version, _, own_version = version.partition("+")
    old_pack, _, old_own = old.version.partition("+")
    for what, mine, theirs, part in (
        (
            Sentence(zh=f"场景包 {name}", en=f"the pack {name}"),
            pack_version,
            old_pack if old.name == name else "",
            "pack",
        ),
        (Sentence(zh="本区的规定", en="the district's own values"), own_version, old_own, "district"),
    ):
        if mine and mine == theirs and _sha256(old.content[part]) != _sha256(content[part]):
            raise Refused(
                Sentence(
                    zh=f"{what.zh}的版本 {mine} 已经启用过，内容不同；请换一个新版本号。",
                    en=f"Version {mine} of {what.en} was activated before with another content; give it a new version.",
                ),
                code="version_reused",
            )


def _sha256(content: object) -> str:
    """Of the canonical form: sorted keys, no blanks, UTF-8."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

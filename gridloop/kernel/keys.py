"""Keys that lie in the data folder, each in a file that only its owner may read, and what is locked with them.

A backup carries the files (``*.key``) with the data; without them what is locked stays locked.
"""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

LENGTH = 32
"""Bytes of a key: AES-256."""
_NONCE = 12


def read_key(path: Path) -> bytes:
    """The key in this file. Refused if others may read it, or if it is no key."""
    key = path.read_bytes()
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PermissionError(f"others may read {path.name}: allow its owner only (chmod 600)")
    if len(key) != LENGTH:
        raise ValueError(f"{path.name} does not hold {LENGTH} bytes; restore it from the backup")
    return key


def make_key(path: Path) -> bytes:
    """Make a key, once, even if several processes come at the same moment: the first link wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, os.urandom(LENGTH))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(mine, path)
    except FileExistsError:
        pass
    finally:
        mine.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path.read_bytes()


def own_key(name: str) -> bytes:
    """The key in ``NAME.key`` of the data folder, made when it is first asked for."""
    return _own(Path(settings.GRIDLOOP_DATA) / f"{name}.key")


@lru_cache(maxsize=8)
def _own(path: Path) -> bytes:
    try:
        return read_key(path)
    except FileNotFoundError:
        return make_key(path)


def accounts_file() -> Path:
    """The key under which the secrets of second factors and of channels lie: ``accounts.key`` in the data folder."""
    return Path(settings.GRIDLOOP_DATA) / "accounts.key"


@lru_cache(maxsize=4)
def _box(path: Path) -> AESGCM:
    return AESGCM(read_key(path))


def lock(text: str, purpose: str) -> str:
    """`text` locked with AES-256-GCM for a purpose, in base64. A text locked for one purpose opens for no other."""
    if not accounts_file().exists():
        make_key(accounts_file())
    nonce = os.urandom(_NONCE)
    return b64encode(nonce + _box(accounts_file()).encrypt(nonce, text.encode(), purpose.encode())).decode()


def unlock(locked: str, purpose: str) -> str:
    """What was locked. `LockedForever` if it was changed, or locked with another key or for another purpose."""
    raw = b64decode(locked)
    try:
        return _box(accounts_file()).decrypt(raw[:_NONCE], raw[_NONCE:], purpose.encode()).decode()
    except (InvalidTag, FileNotFoundError) as error:
        raise LockedForever(f"{accounts_file().name} does not open this; restore it from the backup") from error


class LockedForever(Exception):
    """The key at hand does not open this: the key file is not the one of the backup, or the row was changed."""

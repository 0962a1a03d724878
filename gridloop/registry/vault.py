"""The keys of what is sealed: a master key in the data folder, and under it one key for every subject.

Both layers are AES-256-GCM with a fresh 96-bit nonce written before the ciphertext. A row that is copied out of the
database is unreadable without the master key; destroying a subject's wrapped key makes that subject's data unreadable
for everyone, wherever a copy of the ciphertext still lies.

Things that have no subject, such as the originals of photographs, are sealed with a key that is derived from the
master key for their purpose (HKDF-SHA256).
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from gridloop.kernel import keys

_WRAP = b"gridloop/contact-key/1"
_SEAL = b"gridloop/contact/1"
_NONCE = 12
_KEY = keys.LENGTH


def key_file() -> Path:
    """Where the master key lies: ``contacts.key`` in the data folder."""
    return _in(settings.GRIDLOOP_DATA)


@lru_cache(maxsize=8)
def _in(data: str | Path) -> Path:
    return Path(data) / "contacts.key"


@lru_cache(maxsize=1)
def _master(path: Path) -> bytes:
    try:
        return keys.read_key(path)
    except FileNotFoundError:
        return _make(path)


@lru_cache(maxsize=1)
def _wrapping(path: Path) -> AESGCM:
    """The cipher that wraps the subjects' keys, made once: a flood of reports seals hundreds a second."""
    return AESGCM(_master(path))


def _make(path: Path) -> bytes:
    """Make the master key, unless there is something that only the lost one opens."""
    from gridloop.registry.models import ReporterContact

    if ReporterContact.objects.filter(sealed__isnull=False).exists():
        raise FileNotFoundError(f"{path.name} is gone and contacts are sealed with it; restore it from the backup")
    return keys.make_key(path)


def seal(name: str, phone: str) -> tuple[bytes, bytes]:
    """A new subject key, wrapped, and name and phone sealed with it."""
    random = os.urandom(_KEY + 2 * _NONCE)
    key, wrap_nonce, nonce = random[:_KEY], random[_KEY : _KEY + _NONCE], random[_KEY + _NONCE :]
    wrapped = wrap_nonce + _wrapping(key_file()).encrypt(wrap_nonce, key, _WRAP)
    plain = orjson.dumps([name, phone])
    # Padded to 64 bytes, so that the length of the ciphertext does not tell the length of a name.
    plain += b" " * (-len(plain) % 64)
    return wrapped, nonce + AESGCM(key).encrypt(nonce, plain, _SEAL)


def unseal(wrapped: bytes, sealed: bytes) -> tuple[str, str]:
    """Name and phone. Raises `cryptography.exceptions.InvalidTag` if a byte was changed or the key is another."""
    key = _wrapping(key_file()).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _WRAP)
    name, phone = orjson.loads(AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], _SEAL))
    return name, phone


def seal_bytes(content: bytes, *, purpose: bytes, name: bytes) -> bytes:
    """`content` sealed for a purpose (``evidence``) under a name that must be given again to open it."""
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(purpose).encrypt(nonce, content, name)


def unseal_bytes(sealed: bytes, *, purpose: bytes, name: bytes) -> bytes:
    """What was sealed. Raises `InvalidTag` if a byte was changed, or the key, the purpose or the name is another."""
    return _cipher(purpose).decrypt(sealed[:_NONCE], sealed[_NONCE:], name)


def _cipher(purpose: bytes) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=_KEY, salt=None, info=b"gridloop/" + purpose + b"/1")
    return AESGCM(derived.derive(_master(key_file())))

"""The Merkle tree of RFC 6962 (section 2.1): hashes, and proofs that a leaf is in it and that it only grew.

Pure. Leaves and nodes are hashed with different first bytes, so that a node can never pass for a leaf. A growing tree
is remembered by its right edge alone: the hashes of the largest full subtrees, from left to right, one for every
set bit of the size, at most 64 of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY = sha256(b"").digest()
"""The root of a tree without leaves."""

_LEAF = sha256(b"\x00")
_NODE = sha256(b"\x01")


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry as a leaf."""
    state = _LEAF.copy()
    state.update(entry)
    return state.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node over its two children."""
    state = _NODE.copy()
    state.update(left + right)
    return state.digest()


class Tree:
    """A tree that grows at its right end: size, edge and root, nothing else; an append costs two hashes on average.

    Raises `ValueError` where an edge does not belong to a size.
    """

    __slots__ = ("edge", "size")

    def __init__(self, size: int = 0, edge: Iterable[bytes] = ()) -> None:
        self.size = size
        self.edge = list(edge)
        if size < 0 or len(self.edge) != size.bit_count() or any(len(h) != HASH_BYTES for h in self.edge):
            raise ValueError(f"an edge of {len(self.edge)} hashes for {size} leaves: {size.bit_count()} are needed")

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        edge, full = self.edge, self.size
        while full & 1:  # every full subtree of the same height joins the new one
            leaf = node_hash(edge.pop(), leaf)
            full >>= 1
        edge.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add many leaf hashes, in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The tree hash over all leaves so far."""
        if not self.edge:
            return EMPTY
        hash_ = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            hash_ = node_hash(left, hash_)
        return hash_

    def copy(self) -> Tree:
        """The same tree, to go on from separately."""
        return Tree(self.size, self.edge)


def root(leaves: Iterable[bytes]) -> bytes:
    """The tree hash over these leaf hashes."""
    tree = Tree()
    tree.extend(leaves)
    return tree.root()


def _split(size: int) -> int:
    """The largest power of two smaller than `size`: where a tree of this size divides."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree of all `leaves`: the hashes beside its way up, lowest first."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"leaf {index} of a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_proof(leaves[:k], index), root(leaves[k:])]
    return [*inclusion_proof(leaves[k:], index - k), root(leaves[:k])]


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The hashes that show that the tree of all `leaves` goes on from the tree of the first `old_size` of them."""
    if not 0 < old_size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} does not go on from one of {old_size}")
    return _subproof(leaves, old_size, whole=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if whole else [root(leaves)]
    k = _split(len(leaves))
    if old_size <= k:
        return [*_subproof(leaves[:k], old_size, whole=whole), root(leaves[k:])]
    return [*_subproof(leaves[k:], old_size - k, whole=False), root(leaves[:k])]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that leaf hash `leaf` stands at `index` in the tree of `size` leaves with this root.

    Follows RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    at, last, hash_ = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            hash_ = node_hash(beside, hash_)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and hash_ == root


def verify_consistency(old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree (`size`, `root`) goes on from (`old_size`, `old_root`).

    Follows RFC 9162, section 2.1.4.2. From an empty tree everything goes on, without a proof.
    """
    if old_size == 0:
        return not proof and old_root == EMPTY and size >= 0
    if old_size == size:
        return not proof and old_root == root
    if not 0 < old_size < size or not proof:
        return False
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    at, last = old_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_hash = hash_ = path[0]
    for beside in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_hash = node_hash(beside, old_hash)
            hash_ = node_hash(beside, hash_)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and old_hash == old_root and hash_ == root

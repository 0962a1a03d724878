"""The tree hash of RFC 6962, against its published vectors, its recursive definition, and forgers."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridloop.kernel import merkle

ENTRIES = [bytes.fromhex(e) for e in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
)]  # fmt: skip
LEAVES = [merkle.leaf_hash(e) for e in ENTRIES]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
"""The roots of the trees of the first n of the entries above: the reference vectors of Certificate Transparency."""


def defined_root(entries: list[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 writes it down, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return sha256(b"\x01" + defined_root(entries[:k]) + defined_root(entries[k:])).digest()


@pytest.mark.parametrize(("size", "known"), ROOTS.items())
def test_the_published_roots_come_out(size: int, known: str) -> None:
    assert merkle.root(LEAVES[:size]).hex() == known


@given(st.lists(st.binary(max_size=6), max_size=70))
def test_growing_leaf_by_leaf_gives_the_defined_hash(entries: list[bytes]) -> None:
    tree = merkle.Tree()
    for n, entry in enumerate(entries):
        tree.append(merkle.leaf_hash(entry))
        assert tree.root() == defined_root(entries[: n + 1])
        assert len(tree.edge) <= (n + 1).bit_length()
    assert merkle.Tree(tree.size, tree.edge).root() == tree.root() == defined_root(entries)


def test_the_published_proofs_come_out() -> None:
    """RFC 6962 section 2.1.3 draws these for seven leaves; here over the reference entries."""
    tree = LEAVES[:7]
    pair = [merkle.node_hash(tree[n], tree[n + 1]) for n in (0, 2, 4)]
    left = merkle.node_hash(pair[0], pair[1])
    right = merkle.node_hash(pair[2], tree[6])
    assert merkle.inclusion_proof(tree, 0) == [tree[1], pair[1], right]
    assert merkle.inclusion_proof(tree, 3) == [tree[2], pair[0], right]
    assert merkle.inclusion_proof(tree, 4) == [tree[5], tree[6], left]
    assert merkle.inclusion_proof(tree, 6) == [pair[2], left]
    assert merkle.consistency_proof(tree, 3) == [tree[2], tree[3], pair[0], right]
    assert merkle.consistency_proof(tree, 4) == [right]
    assert merkle.consistency_proof(tree, 6) == [pair[2], tree[6], left]


def test_every_leaf_of_every_small_tree_is_provably_there_and_nowhere_else() -> None:
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(33)]
    for size in range(1, 34):
        root = merkle.root(leaves[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(leaves[:size], index)
            assert merkle.verify_inclusion(leaves[index], index, size, proof, root)
            for elsewhere in {index - 1, index + 1, 0, size - 1} - {index}:
                assert not merkle.verify_inclusion(leaves[index], elsewhere, size, proof, root)
            assert not merkle.verify_inclusion(leaves[index], index, size, [*proof, root], root)
            assert not merkle.verify_inclusion(leaves[index], index, size, proof, leaves[0][::-1])
            if proof:
                assert not merkle.verify_inclusion(leaves[index], index, size, proof[:-1], root)


def test_every_small_tree_provably_goes_on_from_every_smaller_one() -> None:
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(33)]
    other = merkle.leaf_hash(b"other")
    for size in range(1, 34):
        root = merkle.root(leaves[:size])
        assert merkle.verify_consistency(0, size, merkle.EMPTY, root, [])
        for old in range(1, size + 1):
            old_root = merkle.root(leaves[:old])
            proof = merkle.consistency_proof(leaves[:size], old)
            assert merkle.verify_consistency(old, size, old_root, root, proof)
            rewritten = merkle.root([other, *leaves[1:old]])
            assert not merkle.verify_consistency(old, size, rewritten, root, proof)
            assert not merkle.verify_consistency(old, size, old_root, other, proof)
            if proof:
                assert not merkle.verify_consistency(old, size, old_root, root, proof[:-1])
                assert not merkle.verify_consistency(old, size, old_root, root, [*proof[:-1], other])


@given(st.integers(1, 200), st.data())
def test_a_bent_proof_is_refused(size: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf_hash(n.to_bytes(2)) for n in range(size)]
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(leaves, index)
    root = merkle.root(leaves)
    assert merkle.verify_inclusion(leaves[index], index, size, proof, root)
    if proof:
        bit = data.draw(st.integers(0, len(proof) * 256 - 1))
        bent = list(proof)
        hurt = bytearray(bent[bit // 256])
        hurt[bit % 256 // 8] ^= 1 << bit % 8
        bent[bit // 256] = bytes(hurt)
        assert not merkle.verify_inclusion(leaves[index], index, size, bent, root)


def test_a_node_cannot_pass_for_a_leaf() -> None:
    assert merkle.leaf_hash(LEAVES[0] + LEAVES[1]) != merkle.node_hash(LEAVES[0], LEAVES[1])


def test_an_edge_that_does_not_fit_its_size_is_refused() -> None:
    with pytest.raises(ValueError, match="2 are needed"):
        merkle.Tree(5, [LEAVES[0]])


def test_questions_beside_the_tree_are_refused() -> None:
    with pytest.raises(ValueError, match="leaf 8 of a tree of 8"):
        merkle.inclusion_proof(LEAVES, 8)
    with pytest.raises(ValueError, match="does not go on"):
        merkle.consistency_proof(LEAVES, 9)

"""Signatures of artefacts: what was not signed for this place of this session is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.transport.handshake import SessionKey
from autotune.transport.signature import Signature, Signer, Verifier

SESSION = SessionKey(b"session one", b"key" * 11)
OTHERS = (SessionKey(b"session two", SESSION.key), SessionKey(SESSION.session, b"another key"))


@given(
    contents=st.lists(st.tuples(st.sampled_from(["library", "gpu code"]), st.binary(max_size=50)), max_size=6)
)
def test_what_is_signed_in_order_is_accepted(contents: list[tuple[str, bytes]]) -> None:
    signer, verifier = Signer(SESSION), Verifier(SESSION)
    for purpose, content in contents:
        verifier.verify(purpose, content, signer.sign(purpose, content))


@pytest.mark.parametrize(
    "forge",
    [
        lambda content, signature: (content[:-1], signature),
        lambda content, signature: (content + b"\0", signature),
        lambda content, signature: (b"another!", signature),
        lambda content, signature: (content, replace(signature, digest=signature.digest[:-1])),
        lambda content, signature: (content, replace(signature, digest=b"")),
        lambda content, signature: (content, replace(signature, sequence=1)),
        lambda content, signature: (content, replace(signature, sequence=-1)),
    ],
    ids=["truncated", "longer", "substituted", "short digest", "no digest", "later", "before the first"],
)
def test_what_was_changed_on_its_way_is_refused(
    forge: Callable[[bytes, Signature], tuple[bytes, Signature]],
) -> None:
    verifier = Verifier(SESSION)
    signature = Signer(SESSION).sign("library", b"contents")
    with pytest.raises(PermissionError, match="autotune refused an artefact"):
        verifier.verify("library", *forge(b"contents", signature))
    verifier.verify("library", b"contents", signature)


def test_replayed_reordered_and_lost_artefacts_are_refused() -> None:
    signer, verifier = Signer(SESSION), Verifier(SESSION)
    first, second, third = (signer.sign("library", content) for content in (b"1", b"2", b"3"))
    with pytest.raises(PermissionError, match="expected number 0 of the session, found number 1"):
        verifier.verify("library", b"2", second)
    verifier.verify("library", b"1", first)
    with pytest.raises(PermissionError, match="expected number 1 of the session, found number 0"):
        verifier.verify("library", b"1", first)
    with pytest.raises(PermissionError):
        verifier.verify("library", b"3", third)
    verifier.verify("library", b"2", second)


@pytest.mark.parametrize("other", OTHERS)
def test_a_signature_holds_for_one_session_and_one_purpose(other: SessionKey) -> None:
    signature = Signer(other).sign("library", b"contents")
    with pytest.raises(PermissionError):
        Verifier(SESSION).verify("library", b"contents", signature)
    with pytest.raises(PermissionError):
        Verifier(other).verify("gpu code", b"contents", signature)

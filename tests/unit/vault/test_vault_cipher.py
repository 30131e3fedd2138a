"""The envelope and the bundle: what goes in comes out, and nothing else does."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polydev.domain.credential import Bundle, CapturedFile
from polydev.errors import VaultError
from polydev.vault.bundle import pack, unpack
from polydev.vault.cipher import Binding, Sealed, seal, unseal

KEK = bytes(range(32))
BINDING = Binding("usr_a", "codex", "cred_a", 3, "kek_a")
MARKER = b"invented-content-of-a-test"

_FIELDS = ("user_id", "provider", "credential_id", "version", "key_id")

files = st.builds(
    CapturedFile,
    path=st.text(min_size=1, max_size=40),
    mode=st.integers(0, 0o777),
    content=st.binary(max_size=500),
    merge_json=st.booleans(),
)
bundles = st.lists(files, max_size=5).map(lambda some: Bundle(tuple(some)))


@settings(deadline=None)
@given(bundle=bundles)
def test_a_bundle_comes_back_as_it_was(bundle: Bundle) -> None:
    assert unpack(pack(bundle)) == bundle


@settings(deadline=None)
@given(plaintext=st.binary(max_size=2000))
def test_what_is_sealed_opens_with_the_same_key_and_binding(plaintext: bytes) -> None:
    assert unseal(KEK, BINDING, seal(KEK, BINDING, plaintext)) == plaintext


@settings(max_examples=200, deadline=None)
@given(data=st.data(), part=st.sampled_from(["wrapped_key", "ciphertext"]))
def test_a_flipped_bit_anywhere_is_refused(data: st.DataObject, part: str) -> None:
    sealed = seal(KEK, BINDING, MARKER)
    whole = bytearray(getattr(sealed, part))
    # Nonce, body and tag each get their share.
    spot = data.draw(
        st.one_of(st.integers(0, 11), st.integers(12, len(whole) - 17), st.integers(-16, -1))
    )
    whole[spot] ^= 1 << data.draw(st.integers(0, 7))
    refused(dataclasses.replace(sealed, **{part: bytes(whole)}))


@pytest.mark.parametrize("part", ["wrapped_key", "ciphertext"])
def test_every_shorter_or_longer_form_is_refused(part: str) -> None:
    sealed = seal(KEK, BINDING, MARKER)
    whole: bytes = getattr(sealed, part)
    for changed in [whole[:length] for length in range(len(whole))] + [whole + b"\0", whole * 2]:
        refused(dataclasses.replace(sealed, **{part: changed}))


@pytest.mark.parametrize("field", _FIELDS)
def test_another_binding_does_not_open_it(field: str) -> None:
    other = 4 if field == "version" else "another"
    refused(seal(KEK, BINDING, MARKER), dataclasses.replace(BINDING, **{field: other}))


def test_neither_part_opens_beside_a_part_of_another_version() -> None:
    one, two = seal(KEK, BINDING, MARKER), seal(KEK, BINDING, MARKER)
    refused(Sealed(one.wrapped_key, two.ciphertext))
    refused(Sealed(two.wrapped_key, one.ciphertext))
    refused(Sealed(one.ciphertext, one.wrapped_key))


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(VaultError):
        unseal(bytes(32), BINDING, seal(KEK, BINDING, MARKER))


def test_nothing_is_used_twice() -> None:
    sealed = [seal(KEK, BINDING, MARKER) for _ in range(50)]
    for part in ("wrapped_key", "ciphertext"):
        assert len({getattr(one, part)[:12] for one in sealed}) == 50
        assert len({getattr(one, part) for one in sealed}) == 50


@settings(deadline=None)
@given(
    one=st.tuples(*[st.text(max_size=6)] * 3, st.integers(0, 99), st.text(max_size=6)),
    two=st.tuples(*[st.text(max_size=6)] * 3, st.integers(0, 99), st.text(max_size=6)),
)
def test_two_bindings_never_look_the_same(
    one: tuple[str, str, str, int, str], two: tuple[str, str, str, int, str]
) -> None:
    assert (Binding(*one).encode("key") == Binding(*two).encode("key")) == (one == two)


def test_a_binding_says_what_it_is_for() -> None:
    assert len({BINDING.encode(purpose) for purpose in ("key", "bundle", "row")}) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"files":[{}]}',
        b'{"files":[{"path":"a","mode":"x"}]}',
        b'{"files":[{"path":"a","mode":1,"merge_json":false,"content":"%s"}]}' % MARKER,
    ],
)
def test_an_unknown_form_is_an_error_that_shows_nothing(data: bytes) -> None:
    with pytest.raises(VaultError) as caught:
        unpack(data)
    assert MARKER.decode() not in f"{caught.value!r}{caught.value.detail}"
    assert caught.value.__cause__ is None


def refused(sealed: Sealed, binding: Binding = BINDING) -> None:
    with pytest.raises(VaultError) as caught:
        unseal(KEK, binding, sealed)
    assert MARKER.decode() not in f"{caught.value!r}{caught.value.detail}"

"""The envelope: a fresh data key per version encrypts the bundle, a key-encryption key wraps it.

AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces; each data key encrypts one message, and
one key-encryption key wraps far fewer than 2**32. Both carry the same additional data, so neither
part can be moved to another person, provider, credential, version or key.
"""

import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from polydev.errors import CredentialTampered

_NONCE = 12


@dataclass(frozen=True, slots=True)
class Binding:
    """What a version belongs to: the additional authenticated data."""

    user_id: str
    provider: str
    credential_id: str
    version: int
    key_id: str

    def encode(self, purpose: str) -> bytes:
        """Canonical JSON: every field is delimited, so no two bindings look the same."""
        return json.dumps(
            [
                "polydev vault v1",
                purpose,
                self.user_id,
                self.provider,
                self.credential_id,
                self.version,
                self.key_id,
            ],
            separators=(",", ":"),
        ).encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """``nonce || ciphertext || tag``, twice."""

    wrapped_key: bytes
    ciphertext: bytes


def seal(kek: bytes, binding: Binding, plaintext: bytes) -> Sealed:
    data_key = AESGCM.generate_key(bit_length=256)
    return Sealed(
        wrapped_key=_encrypt(kek, data_key, binding.encode("key")),
        ciphertext=_encrypt(data_key, plaintext, binding.encode("bundle")),
    )


def unseal(kek: bytes, binding: Binding, sealed: Sealed) -> bytes:
    """The plaintext.

    Raises:
        CredentialTampered: something was edited or moved, or the key is not the right one.
    """
    data_key = _decrypt(kek, sealed.wrapped_key, binding.encode("key"), binding)
    return _decrypt(data_key, sealed.ciphertext, binding.encode("bundle"), binding)


def _encrypt(key: bytes, plaintext: bytes, additional: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, additional)


def _decrypt(key: bytes, data: bytes, additional: bytes, binding: Binding) -> bytes:
    try:
        return AESGCM(key).decrypt(data[:_NONCE], data[_NONCE:], additional)
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce and a tag
        raise CredentialTampered(
            f"Credential {binding.credential_id} (version {binding.version}) is not what was "
            "stored: its row was changed or moved. Sign in again; tell the operator.",
        ) from None

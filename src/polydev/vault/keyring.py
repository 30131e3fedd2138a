"""Keys made from the root key, one a purpose (HKDF-SHA256, RFC 5869)."""

import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from polydev.domain.secret import Secret
from polydev.errors import VaultKeyMissing


class Keyring:
    """The keys of this installation. ``repr`` shows none of them."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        kek = self._derive("vault key-encryption key v1")
        self.key_id = "kek_" + hashlib.sha256(b"polydev key id" + kek).hexdigest()[:16]
        self._keks = {self.key_id: kek}
        self._tags = self._derive("vault version tags v1")
        self._marks = self._derive("vault high-water marks v1")

    def __repr__(self) -> str:
        return f"Keyring(key_id={self.key_id!r})"

    def has(self, key_id: str) -> bool:
        """Whether there is a key-encryption key of this id."""
        return key_id in self._keks

    def kek(self, key_id: str) -> bytes:
        """The key-encryption key of this id.

        Raises:
            VaultKeyMissing: this installation has no such key.
        """
        try:
            return self._keks[key_id]
        except KeyError:
            raise VaultKeyMissing(
                "A credential is encrypted with a key that this installation does not have "
                f"({key_id}). Restore the key file that belongs to this database.",
            ) from None

    def agent_token(self, machine_id: str, incarnation: str) -> Secret:
        """The token of one incarnation's guest agent: derived, so it is stored nowhere."""
        return Secret(self._derive(f"agent token v1|{machine_id}|{incarnation}").hex())

    def tag(self, message: bytes) -> str:
        """HMAC-SHA256 in hex over what a credential's row says."""
        return hmac.new(self._tags, message, hashlib.sha256).hexdigest()

    def mark(self, message: bytes) -> str:
        """HMAC-SHA256 in hex over the high-water marks' file."""
        return hmac.new(self._marks, message, hashlib.sha256).hexdigest()

    def _derive(self, purpose: str) -> bytes:
        return HKDF(SHA256(), length=32, salt=None, info=b"polydev " + purpose.encode()).derive(
            self._root
        )

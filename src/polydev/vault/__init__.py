"""The vault: the only place where a credential's content is encrypted and decrypted."""

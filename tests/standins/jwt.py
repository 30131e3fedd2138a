"""Tokens that look like a provider's JWTs. Their key is invented per run and kept nowhere."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any

_KEY = secrets.token_bytes(32)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jwt(claims: Mapping[str, Any]) -> str:
    """Signs the claims with HS256. No tool checks the signature; the shape is what counts."""
    head = _b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "standin"}).encode())
    body = _b64(json.dumps({**claims, "jti": secrets.token_hex(8)}).encode())
    return f"{head}.{body}." + _b64(
        hmac.new(_KEY, f"{head}.{body}".encode(), hashlib.sha256).digest()
    )

"""A bundle as bytes: canonical JSON, contents in base 64."""

import base64
import json
from typing import Any, cast

from polydev.domain.credential import Bundle, CapturedFile
from polydev.errors import VaultError


def pack(bundle: Bundle) -> bytes:
    files = [
        {
            "path": file.path,
            "mode": file.mode,
            "content": base64.b64encode(file.content).decode("ascii"),
            "merge_json": file.merge_json,
        }
        for file in bundle.files
    ]
    return json.dumps({"v": 1, "files": files}, sort_keys=True, separators=(",", ":")).encode()


def unpack(data: bytes) -> Bundle:
    """Only ever called on what was decrypted and authenticated, so a failure is a fault of ours;
    its text still holds nothing of the content."""
    try:
        parsed: dict[str, Any] = json.loads(data)
        return Bundle(
            tuple(
                CapturedFile(
                    str(file["path"]),
                    int(file["mode"]),
                    base64.b64decode(file["content"], validate=True),
                    bool(file["merge_json"]),
                )
                for file in parsed["files"]
            )
        )
    except (ValueError, KeyError, TypeError):
        raise VaultError("A stored credential has a form that is not known.") from None


def top_level_keys(file: CapturedFile) -> tuple[str, ...]:
    """The keys of a merged file's JSON object."""
    try:
        document: object = json.loads(file.content)
    except ValueError:
        return ()
    return tuple(cast("dict[str, object]", document)) if isinstance(document, dict) else ()

"""``python -m polydev.api.openapi``: prints the OpenAPI page; needs no services and no settings.

The dashboard's client is generated from it, and a test holds ``web/openapi.json`` to it.
"""

import json
import sys

from polydev.api.app import bare_app


def page_text() -> str:
    """The page as text, the same at every run."""
    return json.dumps(bare_app().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page_text())

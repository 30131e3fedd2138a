"""The JSON schema of a provider's file, for editors. `docs/provider.schema.json` is its output:
``python -m polydev.providers.jsonschema > docs/provider.schema.json``."""

import json
import sys
from typing import Any

from polydev.providers.schema import Provider


def provider_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Provider.model_json_schema(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(provider_schema(), indent=2) + "\n")

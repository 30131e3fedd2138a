"""Invented people with accounts at the stand-in."""

import secrets
import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Person:
    """One account. The password is made up per run unless a test gives one."""

    user: str = "ada@example.test"
    password: str = field(default_factory=lambda: f"pass-{secrets.token_hex(4)}", repr=False)
    name: str = "Ada Example"
    plan: str = "pro"
    organization: str = "Example Test Works"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    organization_id: str = field(default_factory=lambda: str(uuid.uuid4()))

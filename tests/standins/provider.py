"""What one played provider is, and what it may know of the whole stand-in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from tests.standins.oauth import Clock, OAuth
from tests.standins.people import Person


@dataclass
class World:
    """Shared by all providers of one stand-in."""

    people: Sequence[Person]
    clock: Clock = field(default_factory=Clock)
    answer: str = "Hello from the stand-in."
    """Knob: what every model answers to every prompt."""


@dataclass(frozen=True)
class Provider:
    """One authorization server with its host names and what each of them serves."""

    name: str
    oauth: OAuth
    hosts: dict[str, list[BaseRoute]]

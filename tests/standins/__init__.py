"""Local stand-ins for the providers' servers: for tests and the demo only.

They run the real protocol (state, PKCE, one-time codes, rotating refresh tokens) with invented
people, so that the unmodified command-line tools sign in without leaving the machine.
"""

from tests.standins.faults import FOREVER, Fault, Wrong
from tests.standins.people import Person
from tests.standins.server import Seen, StandIn

__all__ = ["FOREVER", "Fault", "Person", "Seen", "StandIn", "Wrong"]

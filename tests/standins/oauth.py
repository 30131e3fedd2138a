"""The authorization-code core that all played providers share (RFC 6749, RFC 7636).

Strict on purpose: a client that forgets its state, verifier or redirect fails here as it would at
the real provider.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode, urlsplit

from tests.standins.people import Person

MAX_WRONG_PASSWORDS = 3


class OAuthError(Exception):
    """An error answer of the token or authorization endpoint (RFC 6749, 4.1.2.1 and 5.2)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass
class Clock:
    """Time that a test moves by hand instead of waiting for it."""

    offset: float = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        self.offset += seconds


@dataclass(frozen=True)
class Policy:
    """What differs between providers."""

    pkce_required: bool = True
    rotate: bool = True
    access_seconds: int = 3600
    code_seconds: int = 60
    other_redirects: tuple[str, ...] = ()
    """Redirects besides the loopback ones, exact."""
    mint_access: Callable[[Person, float], str] = lambda _person, _expires: (
        "standin-access-" + secrets.token_urlsafe(24)
    )
    """Makes an access token from its person and its end (seconds since the epoch)."""


@dataclass
class Flow:
    """One person at the login page, on behalf of one client."""

    client_id: str
    redirect_uri: str
    state: str
    challenge: str | None
    scope: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    wrong_passwords: int = 0
    person: Person | None = None
    ended: bool = False


@dataclass
class Family:
    """All tokens that descend from one consent. A replay revokes them together."""

    person: Person
    client_id: str
    scope: str
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    refresh: str = ""
    used_refresh: set[str] = field(default_factory=set)
    access: dict[str, float] = field(default_factory=dict)
    """Access token -> when it ends, in seconds since the epoch."""
    refreshed: int = 0
    revoked: str | None = None


@dataclass(frozen=True)
class Issued:
    """What the token endpoint hands out."""

    access_token: str
    refresh_token: str
    expires_in: int
    scope: str
    person: Person
    client_id: str


@dataclass
class _Code:
    flow: Flow
    expires: float
    family: Family | None = None


LoginOutcome = Literal["consent", "wrong", "refused"]


class OAuth:
    """State of one provider's authorization server."""

    def __init__(self, policy: Policy, people: Sequence[Person], clock: Clock) -> None:
        self.policy = policy
        self.families: list[Family] = []
        self.rotate = policy.rotate
        """Knob: whether a refresh token is good for one use only."""
        self.access_seconds = policy.access_seconds
        """Knob: how long the next access tokens live."""
        self.code_seconds = policy.code_seconds
        """Knob: how long the next codes live; 0 makes every code arrive expired."""
        self._people = people
        self._clock = clock
        self._flows: dict[str, Flow] = {}
        self._codes: dict[str, _Code] = {}

    # -- the pages ------------------------------------------------------------------------

    def begin(self, query: Mapping[str, str]) -> Flow:
        """Checks an authorization request. Its errors are shown, never redirected."""
        redirect_uri = query.get("redirect_uri", "")
        if not self._redirect_allowed(redirect_uri):
            raise OAuthError("invalid_request", "redirect_uri is not a loopback address")
        for name in ("client_id", "state"):
            if not query.get(name):
                raise OAuthError("invalid_request", f"{name} is missing")
        if query.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "response_type must be code")
        challenge = query.get("code_challenge")
        if challenge is None and self.policy.pkce_required:
            raise OAuthError("invalid_request", "code_challenge is missing")
        if challenge is not None and query.get("code_challenge_method") != "S256":
            raise OAuthError("invalid_request", "code_challenge_method must be S256")
        flow = Flow(
            query["client_id"], redirect_uri, query["state"], challenge, query.get("scope", "")
        )
        self._flows[flow.id] = flow
        return flow

    def login(self, flow: Flow, user: str, password: str) -> LoginOutcome:
        for person in self._people:
            if person.user == user and hmac.compare_digest(person.password, password):
                flow.person = person
                return "consent"
        flow.wrong_passwords += 1
        return "refused" if flow.wrong_passwords >= MAX_WRONG_PASSWORDS else "wrong"

    def flow(self, flow_id: str) -> Flow:
        flow = self._flows.get(flow_id)
        if flow is None or flow.ended:
            raise OAuthError("invalid_request", "this sign-in is over; start it again")
        return flow

    def allow(self, flow: Flow) -> str:
        """Ends the flow with a code. Returns the client's redirect."""
        flow.ended = True
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(flow, self._clock.now() + self.code_seconds)
        return _redirect(flow, {"code": code})

    def deny(self, flow: Flow) -> str:
        """Ends the flow without one. Returns the client's redirect."""
        flow.ended = True
        return _redirect(flow, {"error": "access_denied", "error_description": "Access refused"})

    # -- the token endpoint ---------------------------------------------------------------

    def token(self, form: Mapping[str, str]) -> Issued:
        """Answers the two grants that every provider has."""
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchange(form)
            case "refresh_token":
                return self._refresh(form)
            case _:
                raise OAuthError("unsupported_grant_type", "not a grant that this server plays")

    def _exchange(self, form: Mapping[str, str]) -> Issued:
        code = self._codes.get(form.get("code", ""))
        if code is None:
            raise OAuthError("invalid_grant", "unknown code")
        if code.family is not None:
            code.family.revoked = "its code was used twice"
            raise OAuthError("invalid_grant", "code was used before")
        if self._clock.now() >= code.expires:
            raise OAuthError("invalid_grant", "code has expired")
        flow = code.flow
        if form.get("client_id") != flow.client_id:
            raise OAuthError("invalid_grant", "code belongs to another client")
        if form.get("redirect_uri") != flow.redirect_uri:
            raise OAuthError("invalid_grant", "redirect_uri is not the one of the request")
        if form.get("state", flow.state) != flow.state:
            raise OAuthError("invalid_grant", "state is not the one of the request")
        if flow.challenge is not None and not _verifies(
            form.get("code_verifier", ""), flow.challenge
        ):
            raise OAuthError("invalid_grant", "code_verifier does not match")
        assert flow.person is not None
        family = Family(flow.person, flow.client_id, flow.scope)
        code.family = family
        self.families.append(family)
        return self._issue(family)

    def _refresh(self, form: Mapping[str, str]) -> Issued:
        token = form.get("refresh_token", "")
        for family in self.families:
            if token in family.used_refresh:
                family.revoked = "a refresh token was replayed"
            elif token != family.refresh:
                continue
            if family.revoked or form.get("client_id", family.client_id) != family.client_id:
                raise OAuthError("invalid_grant", "refresh token was revoked")
            family.refreshed += 1
            return self._issue(family)
        raise OAuthError("invalid_grant", "unknown refresh token")

    def _issue(self, family: Family) -> Issued:
        if self.rotate or not family.refresh:
            if family.refresh:
                family.used_refresh.add(family.refresh)
            family.refresh = "standin-refresh-" + secrets.token_urlsafe(24)
        expires = self._clock.now() + self.access_seconds
        access = self.policy.mint_access(family.person, expires)
        family.access[access] = expires
        return Issued(
            access,
            family.refresh,
            self.access_seconds,
            family.scope,
            family.person,
            family.client_id,
        )

    # -- the other endpoints --------------------------------------------------------------

    def person_of(self, authorization: str | None) -> Person | None:
        """Whose live bearer token this header carries, if anybody's."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        for family in self.families:
            expires = family.access.get(token)
            if expires is not None and not family.revoked and self._clock.now() < expires:
                return family.person
        return None

    def revoke_all(self, why: str = "revoked by the test") -> None:
        for family in self.families:
            family.revoked = family.revoked or why

    def expire_access_tokens(self) -> None:
        """The provider forgets every access token; refresh tokens stay good."""
        for family in self.families:
            family.access.clear()

    def _redirect_allowed(self, uri: str) -> bool:
        if uri in self.policy.other_redirects:
            return True
        parts = urlsplit(uri)
        return parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}


def _redirect(flow: Flow, answer: Mapping[str, str]) -> str:
    separator = "&" if urlsplit(flow.redirect_uri).query else "?"
    return flow.redirect_uri + separator + urlencode({**answer, "state": flow.state})


def _verifies(verifier: str, challenge: str) -> bool:
    digest = hashlib.sha256(verifier.encode("ascii", "replace")).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).decode().rstrip("="), challenge)

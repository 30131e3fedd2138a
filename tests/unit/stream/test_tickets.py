"""Tickets: one stream, once, for half a minute."""

import pytest

from polydev.domain.secret import Secret
from polydev.errors import NotSignedIn
from polydev.stream.tickets import LIFETIME_S, StreamKind, TicketOffice


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def office(clock: Clock) -> TicketOffice:
    return TicketOffice(clock)


def issue(office: TicketOffice, target: str = "ses_a", user: str = "usr_a") -> Secret:
    return office.issue(StreamKind.VNC, target, user_id=user, via="key", login_id="key_a").secret


def test_a_ticket_names_the_person_who_asked(office: TicketOffice) -> None:
    grant = office.redeem(issue(office), StreamKind.VNC, "ses_a")
    assert (grant.user_id, grant.via) == ("usr_a", "key")


def test_a_ticket_works_once(office: TicketOffice) -> None:
    ticket = issue(office)
    office.redeem(ticket, StreamKind.VNC, "ses_a")
    with pytest.raises(NotSignedIn):
        office.redeem(ticket, StreamKind.VNC, "ses_a")


def test_a_ticket_ends(office: TicketOffice, clock: Clock) -> None:
    ticket = issue(office)
    clock.now += LIFETIME_S
    with pytest.raises(NotSignedIn):
        office.redeem(ticket, StreamKind.VNC, "ses_a")


@pytest.mark.parametrize(("kind", "target"), [(StreamKind.VNC, "ses_b"), (StreamKind.PTY, "ses_a")])
def test_a_ticket_tried_elsewhere_is_used_up(
    office: TicketOffice, kind: StreamKind, target: str
) -> None:
    ticket = issue(office)
    with pytest.raises(NotSignedIn):
        office.redeem(ticket, kind, target)
    with pytest.raises(NotSignedIn):
        office.redeem(ticket, StreamKind.VNC, "ses_a")


@pytest.mark.parametrize("guess", ["", "pdt_", "x" * 5000, "pdt_é\ud800"])
def test_a_guess_is_refused(office: TicketOffice, guess: str) -> None:
    issue(office)
    with pytest.raises(NotSignedIn):
        office.redeem(Secret(guess), StreamKind.VNC, "ses_a")


def test_a_person_who_asks_for_ever_fills_nothing_and_harms_nobody(office: TicketOffice) -> None:
    other = issue(office, user="usr_b")
    first = issue(office)
    for _ in range(100):
        last = issue(office)
    with pytest.raises(NotSignedIn):
        office.redeem(first, StreamKind.VNC, "ses_a")
    assert office.redeem(last, StreamKind.VNC, "ses_a")
    assert office.redeem(other, StreamKind.VNC, "ses_a")


def test_a_ticket_does_not_show_itself(office: TicketOffice) -> None:
    issued = office.issue(StreamKind.VNC, "ses_a", user_id="u", via="key", login_id="key_a")
    assert issued.secret.reveal() not in repr(issued)
    assert issued.secret.reveal() not in repr(vars(office))

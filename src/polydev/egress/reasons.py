"""Why a connection ended: one stable code for the header, the record and the counters."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    OK = "ok"
    # Answered with a status.
    BAD_REQUEST = "bad_request"
    NOT_PROXY_FORM = "not_proxy_form"
    HOST_INVALID = "host_invalid"
    HEADER_TIMEOUT = "header_timeout"
    HEADER_TOO_LARGE = "header_too_large"
    BODY_TOO_LARGE = "body_too_large"
    PORT_REFUSED = "port_refused"
    HOST_DENIED = "host_denied"
    HOST_NOT_ALLOWED = "host_not_allowed"
    HOST_NOT_PUBLIC = "host_not_public"
    ADDRESS = "address"
    """Always followed by the class of the address: ``address_loopback``."""
    DNS_FAILED = "dns_failed"
    DNS_TIMEOUT = "dns_timeout"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    BAD_RESPONSE = "bad_response"
    CONNECTION_LIMIT = "connection_limit"
    TOTAL_LIMIT = "total_limit"
    # Only recorded: nothing can be said any more.
    BYTE_LIMIT = "byte_limit"
    IDLE = "idle"
    RESET = "reset"
    NO_REQUEST = "no_request"
    CLOSED = "closed"
    INTERNAL = "internal"


ANSWERS: Final[dict[Reason, tuple[int, str]]] = {
    Reason.BAD_REQUEST: (400, "The request is not well-formed HTTP/1.1."),
    Reason.NOT_PROXY_FORM: (400, "Use CONNECT host:port, or http://host/ in absolute form."),
    Reason.HOST_INVALID: (400, "The host or port is not spelled in a way this proxy accepts."),
    Reason.HEADER_TIMEOUT: (408, "The request's headers took too long."),
    Reason.HEADER_TOO_LARGE: (431, "The request's headers are too large."),
    Reason.BODY_TOO_LARGE: (413, "The request's body is larger than one connection may carry."),
    Reason.PORT_REFUSED: (403, "This machine may not connect to that port."),
    Reason.HOST_DENIED: (403, "This host is on the operator's deny-list."),
    Reason.HOST_NOT_ALLOWED: (403, "This host is not on the operator's allow-list."),
    Reason.HOST_NOT_PUBLIC: (403, "This name is not one of the public Internet."),
    Reason.ADDRESS: (403, "This host's address is not one that a machine may reach."),
    Reason.DNS_FAILED: (502, "The name could not be resolved."),
    Reason.DNS_TIMEOUT: (504, "Resolving the name took too long."),
    Reason.CONNECT_FAILED: (502, "The host refused the connection or cannot be reached."),
    Reason.CONNECT_TIMEOUT: (504, "Connecting to the host took too long."),
    Reason.BAD_RESPONSE: (502, "The host's answer is not well-formed HTTP/1.1."),
    Reason.CONNECTION_LIMIT: (503, "This machine has too many connections open."),
    Reason.TOTAL_LIMIT: (403, "This machine has used up the bytes it may transfer."),
    Reason.IDLE: (504, "The host stayed silent for too long."),
    Reason.INTERNAL: (502, "The proxy had a fault of its own."),
}


class Refused(Exception):
    """Ends a connection for a stated reason. Carries nothing that the guest wrote."""

    def __init__(self, reason: Reason, *, kind: str | None = None, address: str | None = None):
        self.reason = reason
        self.code: str = f"{reason.value}_{kind}" if kind else reason.value
        self.address = address
        super().__init__(self.code)

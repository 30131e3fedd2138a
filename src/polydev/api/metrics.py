"""Prometheus metrics of the HTTP side, in the process's default registry."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REQUESTS: Final = Counter(
    "polydev_http_requests", "Answered requests.", ("method", "route", "status")
)
REQUEST_SECONDS: Final = Histogram(
    "polydev_http_request_seconds", "Time to the end of the answer.", ("method", "route")
)
POOL_WARM: Final = Gauge("polydev_pool_warm_machines", "Browser machines that are warm.")
POOL_SIZE: Final = Gauge("polydev_pool_wanted_machines", "Browser machines to keep warm.")
SESSIONS: Final = Gauge("polydev_sessions", "Sign-in sessions on record.", ("state", "reason"))

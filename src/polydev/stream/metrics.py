"""Prometheus metrics of live streams, in the process's default registry."""

from typing import Final

from prometheus_client import Counter, Gauge

STREAMS: Final = Gauge("polydev_streams_open", "Open live streams.", ("kind",))
STREAM_BYTES: Final = Counter(
    "polydev_stream_bytes", "Bytes relayed on live streams.", ("kind", "direction")
)

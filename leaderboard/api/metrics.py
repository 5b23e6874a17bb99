"""`/metrics`: what monitoring watches, in the text format of Prometheus.

Everything is read from the store when it is asked for, so any process gives the same numbers, and there is nothing to
add up over processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Blueprint, Response, current_app
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from leaderboard.api.operation import Request, Text, operation
from leaderboard.errors import Problem
from leaderboard.installation import Installation
from leaderboard.vitals import ARCHIVING, Vitals, read_memory, read_vitals, why_not_ready

blueprint = Blueprint("metrics", __name__)

#: The store is asked this often at most: no credential is needed here.
READ_EVERY_S = 1.0


@blueprint.get("/metrics")
@operation("get_metrics", answers={200: Text("text/plain", "Metrics in the text format of Prometheus.")})
def metrics(request: Request) -> Response:
    """Numbers for monitoring, in the text format of Prometheus.

    Anybody may read them, as with `/readyz`: keep both off the public side. While the store is away the answer is 200
    with `leaderboard_store_up 0`; what is not known then is left out.
    """
    read_at, text = current_app.extensions.get("leaderboard.metrics", (0.0, b""))
    if not read_at or time.monotonic() - read_at >= READ_EVERY_S:
        registry = CollectorRegistry()
        registry.register(_Look(request.lb))
        text = generate_latest(registry)
        current_app.extensions["leaderboard.metrics"] = (time.monotonic(), text)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"})


class _Look(Collector):
    """One look at the store."""

    def __init__(self, lb: Installation) -> None:
        self._lb = lb

    def collect(self) -> Iterator[GaugeMetricFamily]:
        vitals: Vitals | None
        try:
            vitals = read_vitals(self._lb)
        except Problem:
            vitals = None
        is_ready = vitals is not None and why_not_ready(self._lb) is None
        yield _gauge("ready", "1 when /readyz answers 200, 0 when it does not.", is_ready)
        yield _gauge("store_up", "1 when the store answers, 0 while it is away.", vitals is not None)
        yield _gauge(
            "journal_records_limit",
            "Records that the journal may hold; at this many, changes are refused.",
            self._lb.settings.journal_records_most,
        )
        if vitals is None:
            return
        yield _gauge("journal_records", "Records that wait in the journal for the archive.", vitals.records)
        yield _gauge(
            "journal_oldest_seconds",
            "How long the oldest record in the journal has waited for the archive; 0 without any.",
            vitals.oldest_s or 0.0,
        )
        yield _gauge(
            "archive_worker_up",
            "1 while a worker archives the journal, 0 when there is none or something stands in its way.",
            vitals.archiving == ARCHIVING,
        )
        if vitals.worker_spoke_s is not None:
            yield _gauge(
                "archive_worker_last_seen_seconds",
                "How long ago the worker last said that it is there; absent when there is none.",
                vitals.worker_spoke_s,
            )
        if (used_bytes := read_memory(self._lb)) is not None:
            yield _gauge("store_used_memory_bytes", "Memory that the store uses, by its own count.", used_bytes)


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"leaderboard_{name}", documentation, float(value))

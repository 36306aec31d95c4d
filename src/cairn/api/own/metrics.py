"""Prometheus metrics of the server and its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from cairn.api.http import Call, Reply

if TYPE_CHECKING:
    from cairn.api.context import Context
    from cairn.domain.runs import Run
    from cairn.engine.ports import Batch

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One registry for one server. Threads: any."""

    def __init__(self, context: Context) -> None:
        self._context = context
        registry = self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self._requests = Counter(
            "cairn_http_requests", "Answers, by route and status.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "cairn_http_request_seconds", "From the head of a request to the end of its answer.", ("route",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._runs = Counter("cairn_runs_ended", "Runs that this server's engine ended.", ("state",), registry=registry)
        self._tasks = Counter("cairn_tasks_ended", "Leaf tasks that ended.", ("state", "cached"), registry=registry)
        self._attempts = Counter("cairn_attempts_ended", "Attempts that ended.", ("state",), registry=registry)
        self._commits = Counter("cairn_engine_commits", "Transactions of the engine.", registry=registry)
        active = Gauge("cairn_engine_runs", "Runs that the engine has at the moment.", registry=registry)
        active.set_function(lambda: context.host.running)
        head = Gauge("cairn_journal_sequence", "The journal's last number.", registry=registry)
        head.set_function(context.cairn.records.head)
        ready = Gauge("cairn_ready", "1 when requests are welcome.", registry=registry)
        ready.set_function(lambda: float(context.host.alive and not context.draining))
        context.observers.append(self._answered)
        context.host.observers.append(self._committed)

    def expose(self, _call: Call) -> Reply:
        """Text exposition format 0.0.4."""
        return Reply(200, generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4)

    def _answered(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method if method.isalpha() and len(method) < 8 else "other", status).inc()
        self._seconds.labels(route).observe(seconds)

    def _committed(self, run: Run, batch: Batch) -> None:
        self._commits.inc()
        if batch.runs and run.state.terminal:
            self._runs.labels(run.state).inc()
        for task in batch.tasks:
            if task.state.terminal and task.kind == "leaf":
                self._tasks.labels(task.state, str(task.cached).lower()).inc()
        for attempt in batch.attempts:
            if attempt.state.terminal:
                self._attempts.labels(attempt.state).inc()

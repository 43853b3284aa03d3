"""How soon: a webhook's answer, and from its time to the row that can be queried and to the destination."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from headwater.app.bench.parts import Figures, Part
from headwater.app.bench.percentiles import percentiles_ms
from headwater.app.bench.processes import Sampler
from headwater.app.bench.scale import Say, Scale
from headwater.app.bench.service import Service
from headwater.errors import BenchError

_RATE_PER_S: Final = 200.0
_LAST_ROWS_S: Final = 20.0


def measure(directory: Path, scale: Scale, say: Say) -> Figures:
    """Return latencies at a steady rate of webhooks and, beside them, of single calls.

    Raises:
        BenchError: something was not answered 200, or never came to the warehouse or the destination.
    """
    count, deadline_s = int(scale.latency_s * _RATE_PER_S), scale.latency_s + _LAST_ROWS_S
    say(f"latency: {_RATE_PER_S:g} webhooks and {_RATE_PER_S:g} calls a second for {scale.latency_s:g} seconds")
    with Service(directory) as service, Part("receiver", count=count, deadline_s=deadline_s) as receiver:
        path, write_key = _connected(service, receiver.told()["port"]), service.source("website")
        with (
            Part("watcher", views=str(service.views), count=count, deadline_s=deadline_s) as watcher,
            Sampler(service.pids) as sampler,
        ):
            watcher.told()
            sent = {"seconds": scale.latency_s, "rate": _RATE_PER_S, "webhook_path": path, "write_key": write_key}
            with Part("steady", port=service.port, **sent) as steady:
                began, answers = steady.told()["began"], steady.told()
            rows, received = watcher.told(), receiver.told()["seen"]
    figures: Figures = {"rate_per_s": _RATE_PER_S, "roles": sampler.figures()}
    figures["sender_cpu_share"] = answers["sender_cpu_share"]
    for name in ("webhook", "track"):
        figures[name] = {
            "sent": answers[name]["sent"],
            "answer": {key: answers[name][key] for key in ("p50_ms", "p99_ms", "max_ms")},
            "queryable": percentiles_ms(_latencies(rows[name], began[name])),
            "lost": count - len(rows[name]),
        }
    figures["webhook"]["delivered"] = percentiles_ms(_latencies(received, began["webhook"]))
    figures["webhook"]["undelivered"] = count - len(received)
    _complain(figures, answers)
    return figures


def _connected(service: Service, receiver_port: int) -> str:
    """Connect an ActiveCampaign account and a destination of its events; return the path of its webhooks."""
    source = service.api.source("activecampaign", "activecampaign", "ActiveCampaign")
    url = {"url": f"http://127.0.0.1:{receiver_port}/"}
    service.api.destination(source["id"], "webhook", "Receiver", url)
    return urlsplit(service.api.webhook_url(source)).path


def _latencies(seen: Mapping[str, float], began: float) -> list[float]:
    """Return how long after its due time each number was seen."""
    return [at - (began + int(number) / _RATE_PER_S) for number, at in seen.items()]


def _complain(figures: Figures, answers: Figures) -> None:
    wrong = {
        "calls or webhooks were not answered 200": answers["webhook"]["failed"] + answers["track"]["failed"],
        "events are not in the warehouse": figures["webhook"]["lost"] + figures["track"]["lost"],
        "events did not reach the destination": figures["webhook"]["undelivered"],
    }
    if any(wrong.values()):
        raise BenchError("; ".join(f"{number} {what}" for what, number in wrong.items() if number) + ".")

"""Kafka: each event as one record of a topic, acknowledged by all in-sync replicas.

Source: Apache Kafka documentation (producer configuration, topic names); librdkafka, Introduction (idempotent
producer, delivery reports, error codes) and Configuration.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from headwater.destinations.contract import (
    Card,
    Delivered,
    Discarded,
    Outcome,
    Retry,
    Room,
    Rule,
    Unauthorized,
    setting,
)
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.conventions import person_id, text
from headwater.spec.event import Event
from headwater.spec.template import rendered

_HEADERS: Final = {"messageId": "messageId", "type": "type", "event": "event", "receivedAt": "receivedAt"}

CARD = Card(
    name="Kafka",
    description="Writes each event as a record to a topic of a Kafka cluster.",
    categories=("Event streaming",),
    ordered=True,
    concurrency=1,
    needs="kafka",
    api="https://kafka.apache.org/documentation/#producerconfigs",
    mapping=(
        Rule("all calls", "the whole event", "the record's value", "JSON as it is stored"),
        Rule("all calls", "userId, else anonymousId", "the record's key", "or messageId, or none, as `key` says"),
        Rule("all calls", "any value, by the template", "the topic", "what no topic's name may hold becomes `_`"),
        *(Rule("all calls", path, f"header `{name}`", "UTF-8, where there is one") for name, path in _HEADERS.items()),
        Rule("all calls", "", "header `sourceId`", "the source in Headwater"),
    ),
    notes=(
        (
            "A record counts as delivered once all in-sync replicas have it (`acks=all`). The producer is idempotent: "
            "what it repeats itself is there once. After a lost answer Headwater sends the event again, and then a "
            "record can be "
            "there twice: tell repeats by the header `messageId`."
        ),
        (
            "With the key `userId` the events of one person are in one partition, in order; an event that waits for a "
            "retry holds back the later ones of this person."
        ),
        "Topics are made by nobody here: unless the cluster makes them, create them; events wait until then.",
        (
            "Every broker that the cluster names must be reachable and allowed: private ones by "
            "HEADWATER_ALLOW_NETWORKS. The list is looked at when the connection opens and once a minute. The driver "
            "resolves names itself, so where "
            "somebody else controls these names, keep the process in a network of its own."
        ),
        (
            "A record that is too large for the topic, or that the cluster finds invalid, becomes a dead letter. A "
            "refused user, or one who may not write to the topic, pauses the connection."
        ),
    ),
)

_TOPIC_CHARS_MAX: Final = 249  # Apache Kafka
_NO_TOPIC: Final = frozenset({"", ".", ".."})
_FOREIGN: Final = re.compile(r"[^a-zA-Z0-9._-]")
_PLACES: Final = re.compile(r"\{\{[^{}]*\}\}")
_BROKER: Final = re.compile(r"(?P<host>\[[^\]]+\]|[^:\s]+):(?P<port>\d{1,5})")
_BROKERS_MAX: Final = 20  # ours
_MESSAGE_S: Final = 20.0  # ours: a record without an acknowledgement until then is tried again later
_METADATA_S: Final = 8.0  # ours: the answer to who the brokers are
_JUDGED_S: Final = 60.0  # ours: until the brokers are judged again
_POLL_S: Final = 0.1
_GRACE_S: Final = 5.0  # ours: beyond `_MESSAGE_S`, for the last reports


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    brokers: str = field(metadata=setting("Brokers", "Such as `broker1.example.com:9093,broker2.example.com:9093`."))
    topic: str = field(
        metadata=setting("Topic", "A name, or a template such as `events.{{ type }}` or `shop.{{ event | type }}`.")
    )
    key: Literal["userId", "messageId", "none"] = field(
        default="userId",
        metadata=setting("Key", "userId (else anonymousId), messageId or none.", required=False),
    )
    security: Literal["SSL", "SASL_SSL", "PLAINTEXT"] = field(
        default="SASL_SSL",
        metadata=setting("Security", "SASL_SSL, SSL, or PLAINTEXT without encryption.", required=False),
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = field(
        default="SCRAM-SHA-512",
        metadata=setting("SASL mechanism", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.", required=False),
    )
    username: str = field(default="", metadata=setting("User name", "With SASL_SSL.", required=False))
    password: str = field(
        default="", repr=False, metadata=setting("Password", "With SASL_SSL.", secret=True, required=False)
    )
    ca_certificate: str = field(
        default="",
        metadata=setting("CA certificate", "PEM; where the brokers' are not from a public authority.", required=False),
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = field(
        default="lz4", metadata=setting("Compression", "none, gzip, snappy, lz4 or zstd.", required=False)
    )


class Destination:
    """Produces batches and waits for every record's report, on a thread."""

    batch_max: ClassVar[int] = 500

    def __init__(self, settings: Settings, room: Room) -> None:
        self._settings, self._room = settings, room
        self._brokers = brokers(settings.brokers)
        self._config = config(settings)
        topic(settings.topic, {"type": "track", "event": "Checked"})
        self._kafka = _driver()
        self._opening = asyncio.Lock()
        self._producer: Any = None
        self._judged_at = 0.0
        self._refusal = ""
        room.closing.push_async_callback(self._close)

    async def check(self) -> None:
        """Connect and ask for the cluster's brokers and the topic; writes nothing.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: why it does not work.
        """
        producer = await self._opened()
        if _PLACES.search(self._settings.topic):
            return
        metadata = await asyncio.to_thread(self._metadata, producer, self._settings.topic)
        error = metadata.topics[self._settings.topic].error
        if error is not None:
            match self._outcome(error):
                case Unauthorized(reason):
                    raise UnauthorizedError(reason)
                case Retry(reason) | Discarded(reason):
                    raise DeliveryError(f"{reason} Create the topic, or compare its name.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Write the events in their order; return each record's end."""
        return await singled(events, self._written)

    async def _written(self, events: Sequence[Event]) -> list[Outcome]:
        producer = await self._opened()
        errors = await asyncio.to_thread(self._produce, producer, events)
        if any(error is not None and error.fatal() for error in errors):
            await self._close()  # an idempotent producer that lost its place takes nothing any more
        return [Delivered() if error is None else self._outcome(error) for error in errors]

    async def _opened(self) -> Any:
        """Return the producer, once every broker is judged.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the cluster refuses, is away, or may not be reached.
        """
        async with self._opening:
            if self._producer is None:
                for host, port in self._brokers:
                    await self._room.reach(host, port)
                self._refusal = ""
                self._producer = self._made()
                self._judged_at = 0.0
            if time.monotonic() - self._judged_at > _JUDGED_S or not self._judged_at:
                try:
                    metadata = await asyncio.to_thread(self._metadata, self._producer)
                    for broker in metadata.brokers.values():
                        await self._room.reach(broker.host, broker.port)
                except DeliveryError:
                    await self._close()
                    raise
                self._judged_at = time.monotonic()
            return self._producer

    def _made(self) -> Any:
        try:
            return self._kafka.Producer({**self._config, "error_cb": self._noted})
        except self._kafka.KafkaException as error:
            raise UnauthorizedError("Kafka's driver refuses the settings; compare the CA certificate.") from error

    def _metadata(self, producer: Any, named: str | None = None) -> Any:
        try:
            return (
                producer.list_topics(named, timeout=_METADATA_S) if named else producer.list_topics(timeout=_METADATA_S)
            )
        except self._kafka.KafkaException as error:
            producer.poll(0)  # lets `error_cb` tell what lies behind a time-out
            match self._outcome(error.args[0]):
                case Unauthorized(reason):
                    raise UnauthorizedError(f"{reason} Compare user, password and rights.") from error
                case _:
                    raise RetryableError("No broker answers; compare brokers and security, or try later.") from error

    def _produce(self, producer: Any, events: Sequence[Event]) -> list[Any]:
        """Return an error an event, None where it was acknowledged. Blocks: runs on a thread."""
        waiting = self._kafka.KafkaError(self._kafka.KafkaError._TIMED_OUT)  # noqa: SLF001 - librdkafka's local codes begin so
        errors: list[Any] = [waiting] * len(events)
        open_reports = set(range(len(events)))

        def reported(place: int) -> Callable[[Any, Any], None]:
            def report(error: Any, _: Any) -> None:
                errors[place] = error
                open_reports.discard(place)

            return report

        for place, event in enumerate(events):
            try:
                producer.produce(**record(self._settings, event), on_delivery=reported(place))
            except (self._kafka.KafkaException, BufferError) as error:
                errors[place] = error.args[0] if isinstance(error, self._kafka.KafkaException) else waiting
                open_reports.discard(place)
            producer.poll(0)
        deadline = time.monotonic() + _MESSAGE_S + _GRACE_S
        while open_reports and time.monotonic() < deadline:
            producer.poll(_POLL_S)
        return errors

    def _noted(self, error: Any) -> None:
        """Remember that a broker refused the credentials: the records themselves only time out then."""
        if error.name() in _REFUSED:
            self._refusal = error.name()

    def _outcome(self, error: Any) -> Outcome:
        return outcome(error.name(), self._refusal)

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.to_thread(_ended, producer)


_REFUSED: Final = frozenset(
    {"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"}
    | {"UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "_SSL"}
)
_SPOILT: Final = frozenset(
    {"MSG_SIZE_TOO_LARGE", "INVALID_MSG", "INVALID_MSG_SIZE", "INVALID_RECORD", "_BAD_MSG", "_INVALID_ARG"}
    | {"TOPIC_EXCEPTION", "INVALID_TIMESTAMP", "RECORD_LIST_TOO_LARGE", "POLICY_VIOLATION"}
)
_AWAY: Final = frozenset({"_TIMED_OUT", "_MSG_TIMED_OUT", "_ALL_BROKERS_DOWN", "_TRANSPORT", "_RESOLVE"})
_UNKNOWN: Final = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"})


def outcome(name: str, refusal: str = "") -> Outcome:
    """Return what an error's name means.

    Args:
        name: as librdkafka has it, such as `MSG_SIZE_TOO_LARGE`; local ones begin with `_`.
        refusal: the last refusal of the connection's credentials, "" for none.
    """
    if name in _REFUSED or (name in _AWAY and refusal):
        return Unauthorized(f"Kafka refuses the credentials, or the right to write ({refusal or name}).")
    if name in _SPOILT:
        return Discarded(f"Kafka refuses the record ({name}).")
    if name in _UNKNOWN:
        return Retry(f"Kafka does not know the topic ({name}).")
    return Retry(f"Kafka did not acknowledge the record ({name}).")


async def singled(
    events: Sequence[Event], send: Callable[[Sequence[Event]], Awaitable[list[Outcome]]]
) -> list[Outcome]:
    """Return what each event came to, once those that were refused had a try without their neighbours.

    A broker refuses a whole set of records for one that is too large or invalid, and says so of each.
    """
    outcomes = await send(events)
    refused = [place for place, end in enumerate(outcomes) if isinstance(end, Discarded)]
    if len(events) == 1 or not refused:
        return outcomes
    middle = -(-len(refused) // 2)
    for places in filter(None, (refused[:middle], refused[middle:])):
        try:
            ends = await singled([events[place] for place in places], send)
        except RetryableError as error:  # others are out already, so it is these events' outcome
            ends = [Retry(str(error), after_s=error.after_s)] * len(places)
        for place, end in zip(places, ends, strict=True):
            outcomes[place] = end
    return outcomes


def record(settings: Settings, event: Event) -> dict[str, Any]:
    """Return the record of an event, as the producer takes it."""
    keys = {"userId": person_id(event.body), "messageId": event.message_id, "none": ""}
    headers = {name: text(event.body, path) for name, path in _HEADERS.items()} | {"sourceId": event.source_id}
    return {
        "topic": topic(settings.topic, event.body),
        "value": event.line,
        "key": keys[settings.key].encode() or None,
        "headers": [(name, found.encode()) for name, found in headers.items() if found],
    }


def topic(template: str, body: Mapping[str, Any]) -> str:
    """Return the topic of an event; whatever no topic's name may hold becomes `_`.

    Raises:
        ConfigError: the template itself makes no topic.
    """
    fixed = _PLACES.sub("", template)
    if _FOREIGN.search(fixed) or len(fixed) > _TOPIC_CHARS_MAX or (fixed == template and fixed in _NO_TOPIC):
        raise ConfigError(f"A topic is 1 to {_TOPIC_CHARS_MAX} letters, digits, dots, underscores and hyphens.")
    named = rendered(template, body, lambda found: _FOREIGN.sub("_", found))[:_TOPIC_CHARS_MAX]
    return "_" * max(1, len(named)) if named in _NO_TOPIC else named


def brokers(text_: str) -> list[tuple[str, int]]:
    """Return the hosts and ports of a list.

    Raises:
        ConfigError: it is none.
    """
    matches = [_BROKER.fullmatch(each.strip()) for each in text_.split(",")]
    found = [(match["host"], int(match["port"])) for match in matches if match]
    if len(found) < len(matches) or len(found) > _BROKERS_MAX:
        raise ConfigError(f"Brokers are up to {_BROKERS_MAX} hosts with ports, such as broker1.example.com:9093.")
    return found


def config(settings: Settings) -> dict[str, Any]:
    """Return the producer's configuration.

    Raises:
        ConfigError: SASL without a user and a password.
    """
    chosen: dict[str, Any] = {
        "bootstrap.servers": ",".join(f"{host}:{port}" for host, port in brokers(settings.brokers)),
        "security.protocol": settings.security,
        "client.id": "headwater",
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": settings.compression,
        "message.timeout.ms": int(_MESSAGE_S * 1000),
        "socket.connection.setup.timeout.ms": int(_METADATA_S * 1000),
        "linger.ms": 5,
        "queue.buffering.max.messages": 10_000,
        "queue.buffering.max.kbytes": 65_536,
        "allow.auto.create.topics": True,  # where the cluster allows it
        "log_level": 0,  # its own lines on stderr name hosts
    }
    if settings.security == "SASL_SSL":
        if not settings.username or not settings.password:
            raise ConfigError("SASL_SSL needs a user name and a password.")
        chosen |= {
            "sasl.mechanism": settings.mechanism,
            "sasl.username": settings.username,
            "sasl.password": settings.password,
        }
    if settings.ca_certificate and settings.security != "PLAINTEXT":
        chosen["ssl.ca.pem"] = settings.ca_certificate
    return chosen


def _driver() -> Any:
    try:
        import confluent_kafka  # noqa: PLC0415 - an optional driver
    except ImportError as error:
        raise ConfigError("This destination needs a driver: pip install 'headwater[kafka]'.") from error
    return confluent_kafka


def _ended(producer: Any) -> None:
    """Give up what was not acknowledged: it has an outcome that says so."""
    producer.purge()
    producer.flush(1)

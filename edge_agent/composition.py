"""The one place that builds a store: devices, journal and wire from its settings, joined to the services."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

import structlog

from cart_protocol.host.clock import Clock, HostClock, HostDice, IdMint
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.service_manager import ServiceManager
from cart_protocol.ids import CartId, StoreId, store_id
from cart_protocol.link.asyncio_mqtt import AsyncioMqttLink
from cart_protocol.link.settings import MqttSettings, TlsFiles
from cart_protocol.topics import subscriptions_of_store
from edge_agent.config import Settings, Web
from edge_agent.devices.acquirer_http import HttpAcquirer, open_acquirer
from edge_agent.devices.acquirer_notice import SignedNotices
from edge_agent.devices.authority import AGENT
from edge_agent.devices.lanes import open_lane
from edge_agent.devices.signature import Signer
from edge_agent.ports import LeaseBook
from edge_agent.services import gauges
from edge_agent.services.agent import Agent
from edge_agent.services.cart_link import MqttCartLink
from edge_agent.services.heed import Heed
from edge_agent.services.hold import Hold, TakeOver
from edge_agent.services.levels import Lately
from edge_agent.store.database import open_writer
from edge_agent.store.journal import JournalError, Share, SqlJournal
from edge_agent.store.price_book_file import read_catalogue
from edge_agent.store.room import JournalRoom
from edge_agent.store.staff import StaffFile
from edge_agent.web.app import create_app
from edge_agent.web.app import serve as serve_pages
from edge_agent.web.stream import Streams

_FEED_EVERY_US = 1_000_000
_SEND_QUEUE = 20_000
"""One commit may answer every cart of a large shop at once."""


async def serve(settings: Settings) -> None:
    """Build the agent and run it until SIGTERM or SIGINT; where the store is shared, once a partition is its own."""
    clock, dice, manager = HostClock(), HostDice(), ServiceManager()
    log = structlog.get_logger("edge-agent")
    async with contextlib.AsyncExitStack() as stack:
        room = JournalRoom(settings.database, settings.limits.disk_reserve_mb * 1_000_000)
        room.prepare()
        feed = _watchdog(manager, clock)
        place = await _place(settings, stack, clock, dice=dice, manager=manager, feed=feed)
        journal = stack.enter_context(SqlJournal(settings.database, place.share))
        wire = _broker_link(settings)
        link = MqttCartLink(wire, StoreId(settings.identity.store), place.is_ours)
        stack.push_async_callback(link.close)
        acquirer = _acquirer(settings)
        stack.push_async_callback(acquirer.close)

        def alive() -> None:
            feed()
            place.prolong()

        agent = _agent(settings, journal, link, acquirer, room=room, clock=clock, dice=dice, feed=alive)
        pages = create_app(
            agent.counter,
            settings.web,
            settings.identity.name,
            StaffFile(settings.staff),
            clock=clock,
            secret_source=dice,
            notice_desk=_notice_desk(settings, agent, clock),
            limits=settings.limits,
            elsewhere=place.elsewhere,
        )
        streams: Streams = pages.state.streams
        agent.levels.watch(gauges.pages(settings.limits), lambda: streams.open)
        agent.levels.watch(gauges.dropped(), Lately(lambda: wire.dropped_inbound + wire.dropped_outbound))

        def ready(address: str) -> None:
            log.info("serving", pages=address)
            manager.ready(f"serving {settings.identity.name} at {address}")

        loop = asyncio.get_running_loop()
        for stop in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop, agent.stop)
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(serve_pages(pages, settings.web, ready=ready), name="web")]
            if place.hold is not None:
                beside.append(tasks.create_task(place.hold.run(_taking_over(agent, journal)), name="hold"))
            await agent.run()
            manager.stopping()
            for task in beside:
                task.cancel()
    log.info("stopped")


class _Place:
    """This agent's place in the store: all of it, or partitions held by lease."""

    def __init__(self, share: Share, hold: Hold | None = None) -> None:
        self.share = share
        self.hold = hold
        self.is_ours: Callable[[CartId], bool] = hold.is_ours if hold else lambda _: True
        self.elsewhere: Callable[[CartId], str | None] = hold.elsewhere if hold else lambda _: None
        self.prolong: Callable[[], None] = hold.prolong if hold else lambda: None


async def _place(
    settings: Settings, stack: contextlib.AsyncExitStack, clock: Clock, *, dice: HostDice, manager: ServiceManager,
    feed: Callable[[], None],
) -> _Place:  # fmt: skip
    """Return at once where the store is ours alone; else stand by until a partition is."""
    cluster = settings.cluster
    if not cluster.shared:
        return _Place(Share())
    check_cluster(settings)
    from edge_agent.store.lease import Leases  # noqa: PLC0415 - and psycopg with it, which SQLite's users do not need

    open_writer(settings.database).close()  # the tables are there, and up to date
    leases = Leases(
        settings.database, owner=f"{cluster.agent}/{IdMint(clock, dice).uuid()}", reach=address_of(settings.web),
        partitions=cluster.partitions, life_s=cluster.lease_s,
    )  # fmt: skip
    stack.callback(leases.close)
    stack.callback(_give_up, leases)
    hold = Hold(leases, clock, partitions=cluster.partitions, home=cluster.home, life_s=cluster.lease_s)
    manager.ready("standing by: every partition has its agent")
    structlog.get_logger("edge-agent").info("standing-by", agent=cluster.agent)
    fences = await hold.wait(feed)
    structlog.get_logger("edge-agent").info("partitions", fences=fences)
    return _Place(Share(partitions=cluster.partitions, owner=leases.owner, fences=fences), hold)


def check_cluster(settings: Settings) -> None:
    """Raise ConfigurationError where agents could not share the store as these settings say."""
    cluster = settings.cluster
    if cluster.shared and not settings.database.startswith("postgresql"):
        raise ConfigurationError("cluster.shared: agents can only share a PostgreSQL; take it out, or set `database`")
    if not set(cluster.home) <= set(range(cluster.partitions)):
        raise ConfigurationError(f"cluster.home: {list(cluster.home)} are not all below {cluster.partitions}")


def _give_up(leases: LeaseBook) -> None:
    with contextlib.suppress(JournalError):  # a server that is gone lets them expire
        leases.release()


def _taking_over(agent: Agent, journal: SqlJournal) -> TakeOver:
    async def take_over(partition: int, fence: int, listen: Callable[[], None]) -> None:
        await agent.take_over(lambda: journal.take(partition, fence), listen)

    return take_over


def _agent(
    settings: Settings, journal: SqlJournal, link: MqttCartLink, acquirer: HttpAcquirer, *,
    room: JournalRoom, clock: Clock, dice: HostDice, feed: Callable[[], None],
) -> Agent:  # fmt: skip
    signer, catalogue = Signer.load(settings.signing_key), read_catalogue(settings.price_book)
    return Agent(
        store=store_id(settings.identity.store), name=settings.identity.name, journal=journal, link=link,
        acquirer=acquirer, book=catalogue.book, pictures=catalogue.pictures, clock=clock,
        new_id=IdMint(clock, dice).uuid,
        sign=signer.sign, verify=signer.verifier.verify, key_id=signer.key_id,
        lanes=[open_lane(lane) for lane in settings.lanes], hold_s=[lane.hold_s for lane in settings.lanes],
        token_ttl_s=settings.token_ttl_s, binding_idle_s=settings.binding_idle_s,
        acquirer_timeout_s=settings.payment.timeout_s, room=room, limits=settings.limits, progress=feed,
        partitions=settings.cluster.partitions if settings.cluster.shared else 1,
    )  # fmt: skip


def _broker_link(settings: Settings) -> AsyncioMqttLink:
    broker = settings.broker
    tls = TlsFiles(authority=broker.authority, certificate=broker.certificate, key=broker.key)
    wire = MqttSettings(
        host=broker.host, port=broker.port, tls=tls, keepalive_s=broker.keepalive_s, send_queue=_SEND_QUEUE,
        subscribe_qos=0,
    )  # fmt: skip
    subscriptions = subscriptions_of_store(StoreId(settings.identity.store))
    name = settings.cluster.agent if settings.cluster.shared else AGENT
    return AsyncioMqttLink(wire, client_id=name, subscriptions=subscriptions)


def _acquirer(settings: Settings) -> HttpAcquirer:
    key_file = settings.payment.api_key
    key = _secret("payment.api_key", key_file) if key_file else ""
    return open_acquirer(settings.payment.acquirer, key, settings.payment.timeout_s)


def _notice_desk(settings: Settings, agent: Agent, clock: Clock) -> Heed | None:
    file = settings.payment.notice_secret
    if file is None:
        return None
    return Heed(SignedNotices(_secret("payment.notice_secret", file).encode()), agent.settle, clock)


def _secret(setting: str, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{setting}: {file} cannot be read ({error.strerror}); correct the path") from error


def _watchdog(manager: ServiceManager, clock: Clock) -> Callable[[], None]:
    """Return what the recorder calls when it turned over: systemd hears of it once a second at most."""
    last_us = 0

    def feed() -> None:
        nonlocal last_us
        now_us = clock.monotonic_us()
        if now_us - last_us >= _FEED_EVERY_US:
            last_us = now_us
            manager.progress()

    return feed


def address_of(web: Web) -> str:
    """Return under which address phones and other agents reach the pages."""
    scheme = "https" if web.certificate else "http"
    return web.public_address.rstrip("/") or f"{scheme}://{web.host}:{web.port}"

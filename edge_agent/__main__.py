"""The edge agent's program: the only place that builds devices, journal and wire, and joins them to the services."""

import asyncio
import contextlib
import datetime as dt
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
import typer

from cart_protocol.host.clock import Clock, HostClock, HostDice, IdMint
from cart_protocol.host.configuration import ConfigurationError, read
from cart_protocol.host.logs import configure
from cart_protocol.host.plain_errors import explained
from cart_protocol.host.service_manager import ServiceManager
from cart_protocol.host.signature import KeyFileError
from cart_protocol.ids import CartId, InvalidIdError, StoreId, cart_id, store_id
from cart_protocol.link.asyncio_mqtt import AsyncioMqttLink
from cart_protocol.link.settings import LinkError, MqttSettings, TlsFiles
from cart_protocol.topics import subscriptions_of_store
from edge_agent.config import Settings, Web
from edge_agent.core.reconciliation import reconcile as compare
from edge_agent.core.reconciliation import report
from edge_agent.core.staff import Role
from edge_agent.devices import store_folder
from edge_agent.devices.acquirer_http import HttpAcquirer, open_acquirer
from edge_agent.devices.acquirer_notice import SignedNotices
from edge_agent.devices.authority import AGENT, AuthorityError
from edge_agent.devices.lanes import open_lane
from edge_agent.devices.signature import Signer
from edge_agent.devices.store_folder import NewCart, NewStore, StoreFolderError
from edge_agent.ports import DeviceError, LeaseBook
from edge_agent.services import gauges
from edge_agent.services.agent import Agent
from edge_agent.services.cart_link import MqttCartLink
from edge_agent.services.heed import Heed
from edge_agent.services.hold import FrozenError, Hold, TakeOver
from edge_agent.services.levels import Lately
from edge_agent.store.backup import BackupError, backup, restore
from edge_agent.store.database import open_writer
from edge_agent.store.journal import JournalError, Share, SqlJournal
from edge_agent.store.picture_files import PictureFileError, shrink
from edge_agent.store.price_book_file import read_catalogue, read_price_book
from edge_agent.store.room import JournalRoom
from edge_agent.store.settlement_file import SettlementFileError, read_settlement
from edge_agent.store.staff import StaffFile, StaffFileError
from edge_agent.store.status import read_status
from edge_agent.store.tenders import read_tenders
from edge_agent.store.verify import rebuild, verify
from edge_agent.web.app import create_app, serve
from edge_agent.web.stream import Streams

_DEMO_CATALOGUE = Path(__file__).parent / "catalogue" / "demo.toml"
_FEED_EVERY_US = 1_000_000
_SEND_QUEUE = 20_000
"""One commit may answer every cart of a large shop at once."""
_EXPLAINED = (
    AuthorityError, BackupError, ConfigurationError, DeviceError, FrozenError, InvalidIdError, JournalError,
    LinkError, KeyFileError, PictureFileError, SettlementFileError, StaffFileError, StoreFolderError,
)  # fmt: skip
"""Errors whose text already says what to do; a traceback would only hide it."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The store's edge agent: mirrors carts, takes payment, minds the exit.",
)
staff_app = typer.Typer(no_args_is_help=True, help="Who may sign in at the console.")
app.add_typer(staff_app, name="staff")

Config = Annotated[Path, typer.Option("--config", help="The agent's configuration file (edge.toml).")]


def main() -> None:
    with explained("edge-agent", _EXPLAINED):
        app()


@app.command()
def run(
    config: Config,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Serve the store until SIGTERM or Ctrl-C."""
    configure(verbose)
    asyncio.run(_serve(read(config, Settings)))


@app.command()
def check(config: Config) -> None:
    """Say whether the configuration and all files it names can be used. Touches no device."""
    settings = read(config, Settings)
    store_id(settings.identity.store)
    _check_cluster(settings)
    catalogue = read_catalogue(settings.price_book)
    book, shown = catalogue.book, sum(bool(product.picture) for product in catalogue.book.products)
    Signer.load(settings.signing_key)
    people = StaffFile(settings.staff).everyone()
    needed = [settings.broker.authority, settings.broker.certificate, settings.broker.key, settings.payment.api_key]
    needed += [settings.payment.notice_secret, settings.web.certificate, settings.web.key]
    for file in needed:
        if file is not None and not file.is_file():
            raise ConfigurationError(f"{config}: {file} is not there; correct the path or make the file")
    typer.echo(
        f"{config}: good. {len(book.products)} products, {shown} with a picture, {len(people)} people,"
        f" {len(settings.lanes)} lanes."
    )


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The new store's folder.")],
    *,
    store: Annotated[str, typer.Option(help="Id of the store: lower-case letters, digits and '-'.")],
    name: Annotated[str, typer.Option(help="What shoppers read.")],
    state: Annotated[Path, typer.Option(help="Folder for the journal, on a disk that survives power cuts.")],
    catalogue: Annotated[Path, typer.Option(help="Price book to begin with (copied).")] = _DEMO_CATALOGUE,
    broker_host: Annotated[str, typer.Option(help="Name or address under which carts reach the broker.")] = "127.0.0.1",
    broker_port: Annotated[int, typer.Option(help="Port of the broker.")] = 8883,
    web_port: Annotated[int, typer.Option(help="Port of the pages.")] = 8443,
) -> None:
    """Make a new store: authority, certificates, signing key, broker configuration, price book and edge.toml."""
    pictures = read_catalogue(catalogue).folder
    new = NewStore(
        store=store_id(store), name=name, state=state, catalogue=catalogue, pictures=pictures, broker_host=broker_host,
        broker_port=broker_port, web_port=web_port,
    )  # fmt: skip
    configuration = store_folder.create(folder, new)
    typer.echo(f"{configuration}: made. Back up {folder / 'authority'} and keep it closed.")
    typer.echo(f"Next: edge-agent staff add NAME --role manager --config {configuration}")


@app.command("issue-cart")
def issue_cart(
    carts: Annotated[list[str], typer.Argument(help="Ids of the carts, e.g. c1; each is its certificate's name.")],
    *,
    config: Config,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the bundle, of several carts for their folders; default: carts beside --config."),
    ] = None,
    broker_host: Annotated[
        str | None, typer.Option(help="Where these carts reach the broker; default: as the agent.")
    ] = None,
    installed_at: Annotated[Path, typer.Option(help="Folder on the cart for these files.")] = Path("/etc/cartwright"),
    state: Annotated[Path, typer.Option(help="Folder on the cart for its state.")] = Path("/var/lib/cartwright"),
) -> None:
    """Make the bundle for each cart: certificate, keys and cart.toml, for scripts/install-cart."""
    settings = read(config, Settings)
    signer = Signer.load(settings.signing_key)
    for cart in carts:
        new = NewCart(
            cart=cart_id(cart), store=StoreId(settings.identity.store), broker_host=broker_host or settings.broker.host,
            broker_port=settings.broker.port, phone_page=f"{_public_address(settings.web)}/phone",
            installed_at=installed_at, state=state,
        )  # fmt: skip
        bundle = output if output and len(carts) == 1 else (output or config.parent / "carts") / cart
        made = store_folder.issue_cart(config.resolve().parent, new, signer, bundle)
        typer.echo(f"{made}: made. Carry {bundle} to the cart and run: sudo scripts/install-cart {bundle.name}")


@app.command("issue-agent")
def issue_agent(
    name: Annotated[str, typer.Argument(help="Its name at the broker: 'agent-' and what you like, e.g. agent-2.")],
    *,
    config: Config,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the certificate and key; default: agents/NAME beside --config.")
    ] = None,
) -> None:
    """Make the certificate of a further agent that shares this store's PostgreSQL, and let it in at the broker.

    Its edge.toml is a copy of this one with its own web address, lanes, [broker] certificate and key, and in [cluster]
    this name and a home of its own. Signing key, staff file and price book are the same ones.
    """
    settings = read(config, Settings)
    folder = config.resolve().parent
    made = store_folder.issue_agent(folder, name, store_id(settings.identity.store), output or folder / "agents" / name)
    typer.echo(f"{made}: made. Carry it to the other box. Now: systemctl reload mosquitto")


@app.command("access-list")
def access_list(config: Config) -> None:
    """Write the broker's access list anew, after an update that brought new topics."""
    store = store_id(read(config, Settings).identity.store)
    made = store_folder.write_access_list(config.resolve().parent, store)
    typer.echo(f"{made}: written. Now: systemctl reload mosquitto")


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Whose certificates: a cart's id.")],
    config: Config,
) -> None:
    """Revoke every certificate of a cart. The broker learns of it when it is restarted."""
    count = store_folder.revoke(config.resolve().parent, name)
    typer.echo(f"{name}: {count} certificates revoked. Now: systemctl restart mosquitto")


@app.command("price-book")
def price_book(config: Config) -> None:
    """Print the price book as carts get it (JSON), or everything that is wrong with the file."""
    book = read_price_book(read(config, Settings).price_book)
    sys.stdout.buffer.write(msgspec.json.encode(book) + b"\n")


@app.command("shrink-pictures")
def shrink_pictures(
    photographs: Annotated[Path, typer.Argument(help="Folder of photographs, each named by GTIN or PLU.")],
    into: Annotated[Path, typer.Argument(help="Folder that `pictures` in the price book names.")],
) -> None:
    """Make pictures for the carts' screens of photographs of products: 256 x 256 pixels, WebP, on white."""
    made = 0
    for file in shrink(photographs, into):
        made += 1
        typer.echo(f"{file}: {file.stat().st_size} bytes")
    typer.echo(f'{made} pictures. Write pictures = "{into}" into the price book, and raise its version.')


@app.command()
def status(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the books' sums, and how much room they take and have left. May run beside the agent."""
    found = read_status(read(config, Settings).database)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        return
    for field in found.__struct_fields__:
        typer.echo(f"{field.replace('_', ' '):<18} {getattr(found, field)}")


@app.command()
def reconcile(
    file: Annotated[Path, typer.Argument(help="The acquirer's settlement file.")],
    *,
    config: Config,
    since: Annotated[
        dt.datetime | None, typer.Option(help="Expect our payments from here on in the file (UTC).")
    ] = None,
    until: Annotated[dt.datetime | None, typer.Option(help="... and before this (UTC). Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare our payments with the acquirer's settlement file. Status 0: all match; 1: see the lists.

    May run beside the agent. A payment without an answer is listed until it has one.
    """
    tenders = read_tenders(read(config, Settings).database)
    found = compare(tenders, read_settlement(file), since_ms=_utc_ms(since), until_ms=_utc_ms(until))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    else:
        typer.echo("\n".join(report(found)))
    raise typer.Exit(0 if found.agrees else 1)


@app.command("backup")
def back_up(
    target: Annotated[Path, typer.Argument(help="The backup's folder; must not be there yet.")],
    config: Config,
) -> None:
    """Copy the journal into a new folder, with a manifest. May run beside the agent.

    The copy is the journal as it was at one moment, whatever the agent wrote meanwhile. It is an SQLite file on any
    database, so it can be restored into either kind. Certificates, keys and edge.toml are not in it.
    """
    made = backup(read(config, Settings).database, target, HostClock())
    typer.echo(f"{target}: {made.entries} entries, up to {_ends(made.ends)}. Keep it on another machine.")


@app.command("restore")
def bring_back(
    source: Annotated[Path, typer.Argument(help="A folder that `edge-agent backup` made.")],
    config: Config,
    replace: Annotated[
        bool, typer.Option("--replace", help="The journal has entries: set it aside (it is renamed, not deleted).")
    ] = False,
) -> None:
    """Put a backup where the agent looks for its journal. Stop the agent first.

    The backup is verified before anything is touched, and the restored journal before this says good. Carts make up
    for what is newer than the backup by themselves; payments do not: run `edge-agent reconcile` afterwards.
    """
    made = restore(source, read(config, Settings).database, HostClock(), replace=replace)
    typer.echo(f"{source}: good. {made.entries} entries restored, up to {_ends(made.ends)}.")


@app.command("verify")
def check_journal(config: Config) -> None:
    """Check the journal: numbers and carts' streams without gaps, and every read table against the log.

    May run beside the agent and changes nothing. Status 0: all is well; 1: what is wrong is printed, line by line.
    Differences in the read tables alone are mended by `edge-agent rebuild`; damage to the log by a backup.
    """
    found = verify(read(config, Settings).database)
    for finding in found.findings:
        typer.echo(finding)
    verdict = "good" if found.good else f"{len(found.findings)} findings"
    typer.echo(f"{verdict}. {found.entries} entries, up to {_ends(found.ends)}.")
    raise typer.Exit(0 if found.good else 1)


@app.command("rebuild")
def make_anew(config: Config) -> None:
    """Make every read table anew from the log, in one transaction. Stop the agent first: it would wait meanwhile."""
    entries = rebuild(read(config, Settings).database)
    typer.echo(f"good. The read tables say what {entries} entries say.")


@staff_app.command("add")
def staff_add(
    name: Annotated[str, typer.Argument(help="The name they sign in with.")],
    config: Config,
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.ATTENDANT,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="Asked for when not given.")
    ] = "",
) -> None:
    """Let somebody sign in, or change their role or password."""
    member = StaffFile(read(config, Settings).staff).add(name, role, password)
    typer.echo(f"{member.staff}: may sign in as {member.role}.")


@staff_app.command("remove")
def staff_remove(name: Annotated[str, typer.Argument(help="Whom.")], config: Config) -> None:
    """Take somebody off the roll; they are out at once."""
    gone = StaffFile(read(config, Settings).staff).remove(name)
    typer.echo(f"{name}: {'removed' if gone else 'was not on the roll'}.")


@staff_app.command("list")
def staff_list(config: Config) -> None:
    """Print who may sign in, and as what."""
    for member in StaffFile(read(config, Settings).staff).everyone():
        typer.echo(f"{member.staff:<24} {member.role}")


# ── the composition ──────────────────────────────────────────────────────────────────────────────────────────────


async def _serve(settings: Settings) -> None:
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
            beside = [tasks.create_task(serve(pages, settings.web, ready=ready), name="web")]
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
    _check_cluster(settings)
    from edge_agent.store.lease import Leases  # noqa: PLC0415 - and psycopg with it, which SQLite's users do not need

    open_writer(settings.database).close()  # the tables are there, and up to date
    leases = Leases(
        settings.database, owner=f"{cluster.agent}/{IdMint(clock, dice).uuid()}", reach=_public_address(settings.web),
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


def _check_cluster(settings: Settings) -> None:
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


def _ends(ends: Mapping[int, int]) -> str:
    """Return the last numbers of a journal in words; with one partition that is one number."""
    if not ends:
        return "none"
    return ", ".join(
        f"{ends[partition]}" + (f" (partition {partition})" if len(ends) > 1 else "") for partition in ends
    )


def _utc_ms(moment: dt.datetime | None) -> int | None:
    return None if moment is None else round(moment.replace(tzinfo=dt.UTC).timestamp() * 1_000)


def _public_address(web: Web) -> str:
    scheme = "https" if web.certificate else "http"
    return web.public_address.rstrip("/") or f"{scheme}://{web.host}:{web.port}"


if __name__ == "__main__":
    main()

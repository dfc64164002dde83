"""Commands on the journal: what it says, whether it is whole, and copies of it."""

import datetime as dt
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cart_protocol.host.clock import HostClock
from cart_protocol.host.configuration import read
from edge_agent.commands.options import Config
from edge_agent.config import Settings
from edge_agent.core.reconciliation import reconcile as compare
from edge_agent.core.reconciliation import report
from edge_agent.store.backup import backup, restore
from edge_agent.store.settlement_file import read_settlement
from edge_agent.store.status import read_status
from edge_agent.store.tenders import read_tenders
from edge_agent.store.verify import rebuild, verify


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


def make_anew(config: Config) -> None:
    """Make every read table anew from the log, in one transaction. Stop the agent first: it would wait meanwhile."""
    entries = rebuild(read(config, Settings).database)
    typer.echo(f"good. The read tables say what {entries} entries say.")


def _ends(ends: Mapping[int, int]) -> str:
    """Return the last numbers of a journal in words; with one partition that is one number."""
    if not ends:
        return "none"
    return ", ".join(
        f"{ends[partition]}" + (f" (partition {partition})" if len(ends) > 1 else "") for partition in ends
    )


def _utc_ms(moment: dt.datetime | None) -> int | None:
    return None if moment is None else round(moment.replace(tzinfo=dt.UTC).timestamp() * 1_000)

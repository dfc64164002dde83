"""cart-sim: the world as programs. Imports stand inside the commands, since a camera must start at once."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from cart_protocol.host.plain_errors import explained

app = typer.Typer(
    name="cart-sim",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="The world around carts and store: demo shop, staged trips, camera, and the TEST acquirer (no real money).",
)


@app.command()
def demo(
    *,
    trips: Annotated[
        int | None,
        typer.Option(min=1, help="End after so many shopping trips, with a verdict. Default: run until Ctrl-C."),
    ] = None,
    carts: Annotated[int, typer.Option(min=1, max=16, help="Carts in the shop.")] = 3,
    seed: Annotated[int, typer.Option(help="Decides who comes, what they buy, and what goes wrong.")] = 1,
    photos: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Show the cameras the photographs of this folder (it has a manifest.csv) in place of rendered labels.",
        ),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the shop keeps its files.")] = Path("run"),
    fresh: Annotated[bool, typer.Option(help="Forget an earlier shop in that folder first.")] = False,
) -> None:
    """Run a small shop on this machine: broker, store, acquirer, exit lane, carts and shoppers, as real processes.

    Ends with status 0 after a good day, 1 after one that was not, 2 when the shop could not open.
    """
    from sim.demo import DemoOptions, run_demo  # noqa: PLC0415 - see the module's first line
    from sim.photographs import PhotographsError  # noqa: PLC0415

    # A shop that sells photographs is another shop: its price book does not follow the demo's.
    shop = folder.with_name(f"{folder.name}-photos") if photos else folder
    options = DemoOptions(trips=trips, carts=carts, seed=seed, photos=photos, folder=shop, fresh=fresh)
    with explained("cart-sim", (PhotographsError,)):
        sys.exit(run_demo(options))


@app.command()
def stage(
    *,
    trips: Annotated[int, typer.Option(min=1, help="Shopping trips (of each seed).")] = 8,
    carts: Annotated[int, typer.Option(min=1, help="Carts in the shop of a fair day.")] = 4,
    seed: Annotated[
        int, typer.Option(help="The same seed is the same day, to the last event; with --seeds the first.")
    ] = 1,
    seeds: Annotated[int, typer.Option(min=0, help="Play so many days with every kind of fault.")] = 0,
    faults: Annotated[
        str, typer.Option(help="Play this one seed with its faults: 'all', 'none', or their numbers, e.g. 3,7.")
    ] = "",
    whole: Annotated[
        bool, typer.Option(help="With faults, too, render pixels and clock chips: some 0.9 s for a trip.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes for --seeds.")] = 2,
) -> None:
    """Run a shop in virtual time, in this one process, and check after every step what must never happen.

    Alone: a fair day with pixels and chips, and its books compared. With --seeds: days in which programs die at any
    step or write, power fails, disks fill, messages and answers get lost, and people act at once; a day that breaks a
    promise is shrunk to the faults it takes, and the command that plays it again is printed. Status 1 if one did.
    """
    from sim.stage.season import run_day, run_season, run_seed, with_fixed_hashes  # noqa: PLC0415

    with_fixed_hashes()
    if seeds:
        sys.exit(run_season(first=seed, seeds=seeds, trips=trips, jobs=jobs, whole=whole))
    if faults:
        sys.exit(run_seed(seed=seed, trips=trips, faults=faults, whole=whole))
    sys.exit(run_day(trips=trips, carts=carts, seed=seed))


@app.command()
def load(
    *,
    carts: Annotated[
        int, typer.Option(min=1, max=10_000, help="Carts, each with its own connection and shopper.")
    ] = 100,
    rate: Annotated[float, typer.Option(min=1, help="Events a second over all carts. A big shop peaks at 200.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="How long they shop.")] = 30,
    phones: Annotated[int, typer.Option(min=0, help="Shoppers who watch their phones: scan to mirror.")] = 20,
    outage: Annotated[float, typer.Option(min=0, help="Kill the agent in the middle, for so many seconds.")] = 0,
    folder: Annotated[Path, typer.Option(help="Where the store keeps its files; what is there is deleted.")] = Path(
        "run-load"
    ),
    database: Annotated[str, typer.Option(help="The journal's address; default: SQLite in the folder.")] = "",
) -> None:
    """Let many carts shop at a store of real processes, and print how long their events wait.

    Ends with status 0 when every event was committed once and no backlog grew, 1 when not, 2 when there was no run.
    """
    from sim.load import LoadOptions, run_load  # noqa: PLC0415

    options = LoadOptions(
        carts=carts, rate=rate, seconds=seconds, phones=min(phones, carts), outage=outage, folder=folder,
        database=database,
    )  # fmt: skip
    sys.exit(run_load(options))


@app.command()
def faults(
    *,
    kills: Annotated[int, typer.Option(min=1, help="End after so many programs were killed (SIGKILL).")] = 200,
    seed: Annotated[int, typer.Option(help="Decides what fails when; real processes make no two days alike.")] = 1,
    database: Annotated[str, typer.Option(help="Of the store's journal: 'sqlite' or 'postgresql'.")] = "sqlite",
    carts: Annotated[int, typer.Option(min=1, max=8, help="Carts in the shop.")] = 2,
    longest: Annotated[float, typer.Option(min=30, help="Give up after so many seconds.")] = 3_600,
    folder: Annotated[Path | None, typer.Option(help="Where to keep the shop's files; default: nowhere.")] = None,
) -> None:
    """Kill, part and fill everything in a live shop with shoppers in it, heal it, and compare everybody's books.

    As root it cuts roads in the kernel and fills small disks; else it does what it can and says so. Ends with status 0
    when nothing is lost and nothing came twice, 1 when something was, 2 when it had to be given up.
    """
    from sim.live_faults import FaultOptions, run_faults  # noqa: PLC0415 - see the module's first line

    if database not in {"sqlite", "postgresql"}:
        raise typer.BadParameter(f"{database!r} is neither 'sqlite' nor 'postgresql'", param_hint="--database")
    sys.exit(run_faults(FaultOptions(
        kills=kills, seed=seed, carts=carts, postgresql=database == "postgresql", longest_s=longest, folder=folder,
    )))  # fmt: skip


@app.command()
def camera(
    *,
    socket: Annotated[str, typer.Option(help="The street's socket.")],
    cart: Annotated[str, typer.Option(help="The cart this camera is screwed to.")],
    width: Annotated[int, typer.Option(min=16)] = 640,
    height: Annotated[int, typer.Option(min=16)] = 480,
    fps: Annotated[int, typer.Option(min=1, max=120)] = 12,
) -> None:
    """Write I420 frames of what this cart's camera sees to standard output, as rpicam-vid does."""
    from sim.optics.camera import run  # noqa: PLC0415

    run(socket, cart, width, height, fps)


@app.command()
def acquirer(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8790,
    database: Annotated[Path, typer.Option(help="The acquirer's own ledger (SQLite).")] = Path("acquirer.db"),
    api_key_file: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="File with the key that merchants must show.")
    ] = Path("acquirer.key"),
    notify: Annotated[
        str, typer.Option(help="The merchant's address for notices, e.g. http://127.0.0.1:8443/acquirer/notice")
    ] = "",
    notice_secret_file: Annotated[Path, typer.Option(help="File with the secret that notices are signed with.")] = Path(
        "notice.key"
    ),
    seed: Annotated[int, typer.Option(help="Decides how late notices are, and what goes wrong.")] = 0,
    mishaps: Annotated[float, typer.Option(min=0, max=1, help="Share of charges that go wrong.")] = 0.0,
) -> None:
    """Run the TEST acquirer: idempotent, with declines, lost answers and late notices. No real money moves."""
    from sim.acquirer import serve  # noqa: PLC0415
    from sim.acquirer_courier import Merchant  # noqa: PLC0415

    merchant = Merchant(address=notify, secret=notice_secret_file.read_text().strip()) if notify else None
    api_key = api_key_file.read_text().strip()
    asyncio.run(serve("127.0.0.1", port, database, api_key, merchant=merchant, seed=seed, mishaps=mishaps))


def main() -> None:
    app()


if __name__ == "__main__":
    main()

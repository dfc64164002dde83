"""The command that calibrates the scale."""

import contextlib
import time
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from cart_firmware import composition
from cart_firmware.commands.options import Config
from cart_firmware.config import Settings
from cart_firmware.core.calibration import CalibrationRecord, Limits, Outcome, RefusedError, calibrated, compare
from cart_firmware.core.tilt import Axes
from cart_firmware.devices import calibration_file
from cart_firmware.devices.accelerometers import open_imu
from cart_firmware.devices.load_cells import open_load_cell
from cart_firmware.screen import certificate
from cart_firmware.screen.terminal import Terminal
from cart_firmware.services.calibrate import Session, feel_upright
from cart_protocol.host.clock import Clock, HostClock
from cart_protocol.host.logs import configure
from cart_protocol.mass import Mass, grams, kilograms


def calibrate(  # noqa: PLR0917 - the options of a command
    config: Config,
    masses: Annotated[
        list[float],
        typer.Option("--mass", help="A known mass in kilograms; say it once for each. Two or more find a wrong one."),
    ],
    corner_mass: Annotated[
        float | None, typer.Option(help="Mass for the corners in kilograms; by default the middle of the masses.")
    ] = None,
    corners: Annotated[bool, typer.Option(help="Weigh in each corner as well.")] = True,
    repeats: Annotated[int, typer.Option(min=0, max=20, help="How often the first mass is weighed again.")] = 3,
    by: Annotated[str, typer.Option(help="Who calibrates; stands on the certificate.")] = "",
    corner_limit: Annotated[float, typer.Option(help="Grams by which a corner may differ.")] = 10.0,
    new_cell: Annotated[bool, typer.Option(help="Do not compare with the last calibration.")] = False,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Calibrate the scale with known masses: asks for each, waits until it rests, and prints a certificate.

    Stop the cart first; it holds the load cell. What is found is kept in the state folder and used from the next start.

    Exit status: 0 calibrated, 2 refused; then nothing was changed.
    """
    configure(verbose)
    settings = composition.stopped(config, "holds its load cell")
    known = sorted(kilograms(mass) for mass in masses)
    if known[0] <= 0:
        raise RefusedError(f"--mass: {min(masses):g} kg; a known mass is above zero")
    corner = (kilograms(corner_mass) if corner_mass else known[len(known) // 2]) if corners else Mass(0)
    limits = Limits(corner=grams(corner_limit))
    clock = HostClock()
    cell = open_load_cell(msgspec.structs.replace(settings.load_cell, trims=(), zeros=()), clock.monotonic_us)
    with contextlib.closing(cell):
        session = Session(
            cell,
            clock,
            time.sleep,
            Terminal(),
            counts_per_kilogram=settings.load_cell.counts_per_kilogram,
            limits=limits,
        )
        outcome = calibrated(session.weigh(known, corner_mass=corner, repeats=repeats), limits)
    up = _upright(settings, clock)
    last = None if new_cell else calibration_file.load(settings.state)
    if last is not None:
        compare(outcome, last.counts_per_kilogram)
    record = _record(settings, outcome, limits, by, clock, up=up)
    kept = calibration_file.keep(settings.state, record, certificate.page(record))
    typer.echo(f"\n{certificate.plain(record)}\n\nKept. To print: {kept}")


def _upright(settings: Settings, clock: Clock) -> Axes | None:
    """Return what the accelerometer reads on level floor, None on a cart without one."""
    imu = open_imu(settings.imu)
    if imu is None:
        return None
    with contextlib.closing(imu):
        return feel_upright(imu, clock, time.sleep, Terminal())


def _record(
    settings: Settings, outcome: Outcome, limits: Limits, by: str, clock: Clock, *, up: Axes | None
) -> CalibrationRecord:
    made = datetime.fromtimestamp(clock.wall_ms() // 1_000, UTC)
    return CalibrationRecord(
        cart=settings.identity.cart, devices=calibration_file.devices(settings.load_cell),
        rate_hz=settings.load_cell.rate_hz, gain=settings.load_cell.gain, made_at=made.isoformat(), made_by=by,
        zero_counts=outcome.zero_counts, counts_per_kilogram=outcome.counts_per_kilogram, trims=outcome.trims,
        zeros=outcome.zeros, up=up, figures=outcome.figures, limits=limits,
    )  # fmt: skip

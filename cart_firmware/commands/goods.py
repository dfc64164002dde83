"""Commands that teach a cart goods by sight, and list those it knows."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import cv2
import msgspec
import numpy as np
import typer

from cart_firmware import composition
from cart_firmware.commands.options import Config
from cart_firmware.config import CameraSettings
from cart_firmware.devices.cameras import open_frame_source
from cart_firmware.devices.opencv_camera import PICTURES
from cart_firmware.devices.sight_files import SightFolder
from cart_firmware.perception.embedder import Picture
from cart_firmware.screen.enrol_report import Told
from cart_firmware.screen.enrol_report import plain as plain_lesson
from cart_firmware.services.enrol import Enrolment, learned_together, same_as, watch
from cart_protocol.gs1.check_digit import Gs1Error
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.gs1.restricted import plu
from cart_protocol.host.clock import HostClock, HostDice, IdMint
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.logs import configure
from cart_protocol.ids import LessonId, ProductId
from cart_protocol.messages import LessonLearned
from cart_protocol.sight import MOST_SHOTS
from cart_protocol.sight import Verdict as LessonVerdict

_PLU_DIGITS = 5


def enrol(  # noqa: PLR0917 - the options of a command
    number: Annotated[str, typer.Argument(help="The product's PLU (five digits) or GTIN, as in the price book.")],
    config: Config,
    shots: Annotated[int, typer.Option(min=1, max=MOST_SHOTS, help="How many shots to take.")] = 5,
    files: Annotated[
        list[Path] | None, typer.Option("--from", help="A picture instead of the camera; say it once for each.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Show a product to the camera, so that carts know it by sight: says what to do, and how the test of it went.

    Stop the cart first; it holds the camera. What was learned goes to the store when the cart runs again; there staff
    decide on the console whether all carts are taught it. No picture is kept.

    Exit status: 0 learned, 1 the shots do not look like one another and nothing was kept, 2 there is no picture.
    """
    configure(verbose)
    settings = composition.stopped(config, "holds its camera")
    product = _product(number)
    sights, prices, clock = composition.sights(settings), composition.kept_prices(settings), HostClock()
    found = prices.find(product) if prices else None
    if prices and not found:
        typer.echo(f"{product} is not in this cart's price book; the store will ask for it to be put there", err=True)
    enrolment = Enrolment(sights, product, len(files) if files else shots, same_as(product, prices))
    name = found.name if found else number
    if files:
        _add_files(enrolment, files)
    else:
        asyncio.run(_show(settings.camera, enrolment, Told(name)))
    learned = enrolment.result()
    if learned.verdict is not LessonVerdict.SCATTERED:
        lesson = LessonId(IdMint(clock, HostDice()).uuid())
        SightFolder(settings.state).keep_lesson(LessonLearned(lesson=lesson, learned=learned))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(learned) + b"\n")
    else:
        typer.echo(plain_lesson(learned, name))
    raise typer.Exit(1 if learned.verdict is LessonVerdict.SCATTERED else 0)


def enrol_all(
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures (00042_1.png, 00042_2.png, 4006381333931.jpg).")],
    config: Config,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Have carts know by sight every product of which a folder has pictures, each named by PLU or GTIN.

    Show goods as carts see them: lying in a cart, without a hand. Otherwise as `enrol`; the cart is stopped.

    Exit status: 0 all learned, 1 the pictures of some do not look like one another; those were not kept. 2 no picture.
    """
    configure(verbose)
    settings = composition.stopped(config, "sends what it was shown")
    shots = _pictures_of(pictures)
    prices, folder = composition.kept_prices(settings), SightFolder(settings.state)
    mint = IdMint(HostClock(), HostDice())
    scattered = 0
    for learned in learned_together(composition.sights(settings), shots, prices):
        product = learned.taught.product
        found = prices.find(product) if prices else None
        typer.echo(plain_lesson(learned, found.name if found else product))
        if learned.verdict is LessonVerdict.SCATTERED:
            scattered += 1
        else:
            folder.keep_lesson(LessonLearned(lesson=LessonId(mint.uuid()), learned=learned))
    typer.echo(
        f"{len(shots) - scattered} of {len(shots)} products learned; the store hears of them when the cart runs."
    )
    raise typer.Exit(1 if scattered else 0)


def sight(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what the cart knows by sight: names for the price book's key `sight`, and products the store taught."""
    configure(verbose=False)
    known = composition.sights(composition.checked(config))
    if as_json:
        said = {"network": known.network, "version": known.version, "names": known.knowledge.index.names}
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        return
    typer.echo(f"network {known.network[:12]}, taught: version {known.version}")
    for name in known.knowledge.index.names:
        typer.echo(name)


def _product(number: str) -> ProductId:
    """Return the catalogue key of a number as staff read it."""
    if len(number) == _PLU_DIGITS and number.isdecimal():
        return plu(number)
    try:
        return ProductId(gtin_of(number))
    except Gs1Error as error:
        raise ConfigurationError(f"{number}: {error}; give a PLU of five digits, or a GTIN") from error


def _add_files(enrolment: Enrolment, files: list[Path]) -> None:
    if len(files) > MOST_SHOTS:
        raise ConfigurationError(f"--from: {len(files)} pictures; {MOST_SHOTS} are the most")
    for file in files:
        enrolment.add(_picture(file))


def _pictures_of(folder: Path) -> dict[ProductId, list[Picture]]:
    """Return the pictures of a folder, by the product that each is named after."""
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in PICTURES)
    if not files:
        raise ConfigurationError(f"{folder}: no pictures ({', '.join(PICTURES)}); name a folder that has some")
    found = dict[ProductId, list[Picture]]()
    for file in files:
        shots = found.setdefault(_product(file.stem.partition("_")[0]), [])
        if len(shots) == MOST_SHOTS:
            raise ConfigurationError(f"{file}: more than {MOST_SHOTS} pictures of a product; take some away")
        shots.append(_picture(file))
    return found


def _picture(file: Path) -> Picture:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise ConfigurationError(f"{file}: no picture that can be read; name a JPEG or PNG file")
    return np.asarray(picture, np.uint8)


async def _show(settings: CameraSettings, enrolment: Enrolment, told: Told) -> None:
    camera = open_frame_source(settings, HostClock())
    try:
        await watch(camera, enrolment, told.tell)
    finally:
        await camera.close()

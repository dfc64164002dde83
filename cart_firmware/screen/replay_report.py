"""What `cart-firmware recording` and `cart-firmware replay` say on a terminal."""

import datetime as dt

from cart_firmware.core.recording import Listed
from cart_firmware.services.replay import Difference, Replayed

_MOST = 50
"""Differences that are told; their number is told in any case."""


def row(segment: Listed) -> str:
    """Return one segment of the list."""
    span = f"{_moment(segment.from_ms)}  {_moment(segment.until_ms)}"
    return f"{segment.file:<20}  {span}  {segment.size / 1024:>8.1f} KiB  {segment.session or '-'}"


def said(replayed: Replayed, software: str) -> str:
    """Return what came of a replay, in lines; `software` is this program's version."""
    lines = [_told(each, software) for each in replayed.differences[:_MOST]]
    lines += [
        f"{name}: its end is damaged, or was torn off when the cart stopped; all before it was replayed"
        for name in replayed.torn
    ]
    others = [f"recorded by {each}, replayed by {software}" for each in replayed.software if each != software]
    count = len(replayed.differences)
    verdict = f"{count} differences" if count else "every decision as recorded"
    counted = f"{replayed.segments} segments, {replayed.decisions} decisions, {replayed.ticks} ticks without one"
    return "\n".join([*lines, *others, f"{counted}, {replayed.readings} conversions: {verdict}"])


def _told(each: Difference, software: str) -> str:
    otherwise = "" if each.software == software else f" (decided otherwise by version {each.software})"
    return (
        f"{_moment(each.wall_ms)}  {each.part}, {each.matter}{otherwise}\n"
        f"    recorded: {each.cart}\n    replayed: {each.replay}"
    )


def _moment(wall_ms: int) -> str:
    local = dt.datetime.fromtimestamp(wall_ms / 1_000, dt.UTC).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}.{wall_ms % 1_000:03}"

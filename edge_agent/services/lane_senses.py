"""What a lane hears from its devices: loops that outlive an unplugged one and say when it is back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from edge_agent.ports import DeviceError, Scale, Weight

Trouble = Callable[[str, str | None], None]
"""Told (device, what is wrong), and (device, None) when it answers again."""
_Heard = TypeVar("_Heard")

_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 10.0
_QUIET_S = 1.0
"""A scanner or gate that has not failed for this long after a retry is back; it may have nothing to say for hours."""
_STRIKES = 3
"""A scale may miss an answer (it does while somebody keys in a tare); so many in a row are a fault."""


async def listen(
    device: str, read: Callable[[], Awaitable[_Heard]], heard: Callable[[_Heard], None], trouble: Trouble
) -> NoReturn:
    """Pass on everything that `read` returns; after a DeviceError try again, ever slower."""
    lost, retry_s = False, _FIRST_RETRY_S
    while True:
        reading = asyncio.ensure_future(read())
        try:
            if lost:
                await asyncio.wait({reading}, timeout=_QUIET_S)
                if not reading.done():
                    lost = False
                    trouble(device, None)
            value = await reading
        except DeviceError as error:
            lost = True
            trouble(device, str(error))
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, _LAST_RETRY_S)
            continue
        finally:
            reading.cancel()
        if lost:
            lost = False
            trouble(device, None)
        retry_s = _FIRST_RETRY_S
        heard(value)


async def poll_scale(
    scale: Scale, interval_s: Callable[[], float], heard: Callable[[Weight], None], trouble: Trouble
) -> NoReturn:
    """Ask the scale for ever, `interval_s()` apart; ever slower while it does not answer."""
    strikes, retry_s = 0, _FIRST_RETRY_S
    while True:
        try:
            weight = await scale.weigh()
        except DeviceError as error:
            strikes += 1
            if strikes < _STRIKES:
                await asyncio.sleep(interval_s())
                continue
            trouble("scale", str(error))
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, _LAST_RETRY_S)
            continue
        if strikes >= _STRIKES:
            trouble("scale", None)
        strikes, retry_s = 0, _FIRST_RETRY_S
        heard(weight)
        await asyncio.sleep(interval_s())

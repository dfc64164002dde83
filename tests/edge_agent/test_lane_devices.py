"""A lane's relays, lamps and contacts by its settings, on gpiozero's mock pins named by a class path."""

import asyncio
from collections.abc import Iterator
from typing import Any

import gpiozero
import msgspec
import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from cart_protocol.host.configuration import ConfigurationError
from edge_agent.config import LaneSettings
from edge_agent.devices.lanes import open_lane
from edge_agent.ports import DeviceError, EasSignal, LampColour

SETTINGS = LaneSettings(
    lane="lane-2", scale="8217:/dev/nowhere", scanner="serial:/dev/nowhere", pins="gpiozero.pins.mock:MockFactory"
)


Board = Any
"""gpiozero ships no types."""


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """The factory that the class path will make, kept so that the test can look at its pins."""
    factory = MockFactory()
    monkeypatch.setattr("gpiozero.pins.mock.MockFactory", lambda: factory)
    yield factory
    factory.close()


def level(board: Board, pin: int) -> int:
    return int(board.pin(f"GPIO{pin}").state)


async def test_everything_is_off_at_first(board: Board) -> None:
    lane = open_lane(SETTINGS)
    functions = {pin: (board.pin(f"GPIO{pin}").function, level(board, pin)) for pin in (17, 27, 5, 6, 13, 19)}
    assert set(functions.values()) == {("output", 0)}
    del lane


async def test_outputs_drive_their_pins(board: Board) -> None:
    lane = open_lane(SETTINGS)
    lane.deactivator.enable()
    lane.deactivator.enable()
    lane.gate.open()
    lane.tone.sound(on=True)
    assert [level(board, pin) for pin in (17, 27, 19)] == [1, 1, 1]
    lane.deactivator.disable()
    lane.gate.close_barrier()
    lane.tone.sound(on=False)
    assert [level(board, pin) for pin in (17, 27, 19)] == [0, 0, 0]


async def test_the_stack_lamp_shows_one_colour_at_a_time(board: Board) -> None:
    lane = open_lane(SETTINGS)
    shown = []
    for colour in (LampColour.GREEN, LampColour.AMBER, LampColour.RED, LampColour.OFF):
        lane.lights.show(colour)
        shown.append([level(board, pin) for pin in (5, 6, 13)])
    assert shown == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]


async def test_contacts_that_close_to_ground_arrive_in_order(board: Board) -> None:
    lane = open_lane(SETTINGS)
    for pin in (22, 23):
        board.pin(f"GPIO{pin}").drive_low()
        board.pin(f"GPIO{pin}").drive_high()
    async with asyncio.timeout(5):
        assert [await lane.gate.signal(), await lane.gate.signal()] == [EasSignal.TAG_ALARM, EasSignal.PASSED]


async def test_a_contact_reports_from_gpiozeros_own_thread(board: Board) -> None:
    lane = open_lane(SETTINGS)
    await asyncio.to_thread(board.pin("GPIO22").drive_low)
    async with asyncio.timeout(5):
        assert await lane.gate.signal() is EasSignal.TAG_ALARM


class AlarmingPin(MockPin):  # type: ignore[misc]  # gpiozero ships no types
    """A contact that is closed when the lane starts."""

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.info.name == "GPIO22":
            self.drive_low()


async def test_pedestals_that_alarm_already_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpiozero.pins.mock.MockFactory", lambda: MockFactory(pin_class=AlarmingPin))
    lane = open_lane(SETTINGS)
    async with asyncio.timeout(5):
        assert await lane.gate.signal() is EasSignal.TAG_ALARM


async def test_a_pin_used_twice_is_named(board: Board) -> None:
    del board
    with pytest.raises(DeviceError, match=r"green lamp on GPIO17.*nobody else uses the pin"):
        open_lane(msgspec.structs.replace(SETTINGS, green_pin=17))


async def test_an_unplugged_lane_still_opens_and_says_what_it_lacks_when_used(board: Board) -> None:
    del board
    lane = open_lane(SETTINGS)
    assert lane.scale.division == 5_000
    with pytest.raises(DeviceError, match="/dev/nowhere"):
        await lane.scale.weigh()
    with pytest.raises(DeviceError, match="/dev/nowhere"):
        await lane.scanner.read()


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"scale": "9999:/dev/ttyUSB0"}, "write '8217:PATH'"),
        ({"scale": "8217"}, "write '8217:PATH'"),
        ({"scanner": "usb"}, "write 'serial:PATH'"),
        ({"pins": "arduino"}, "name one of lgpio"),
        ({"speaker": "festival"}, "espeak-ng:DIR"),
    ],
)
async def test_a_word_that_names_no_driver_is_refused_with_the_remedy(change: dict[str, str], remedy: str) -> None:
    with pytest.raises(DeviceError, match=remedy):
        open_lane(msgspec.structs.replace(SETTINGS, **change))


async def test_pins_of_a_package_that_is_not_there_are_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="nobody_has_this"):
        open_lane(msgspec.structs.replace(SETTINGS, pins="nobody_has_this.pins:connect?lane=2"))


async def test_without_lgpio_the_extra_is_named() -> None:
    try:
        import lgpio  # noqa: F401
    except ImportError:
        with pytest.raises(DeviceError, match=r"pip install 'cartwright\[pi\]'"):
            open_lane(msgspec.structs.replace(SETTINGS, pins="lgpio"))
    assert gpiozero.Device.pin_factory is None, "never gpiozero's own choice"

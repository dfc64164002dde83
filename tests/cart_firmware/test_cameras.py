"""Cameras of every kind show pictures; programs that die come back; what cannot work is refused with a remedy."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cart_firmware.config import CameraSettings
from cart_firmware.devices.blocking_camera import BlockingCamera
from cart_firmware.devices.camera_settings import in_pixels
from cart_firmware.devices.cameras import open_frame_source
from cart_firmware.devices.newest_frame import NewestFrame
from cart_firmware.devices.opencv_camera import adjust
from cart_firmware.devices.picamera2_camera import Picamera2Device
from cart_firmware.devices.picture import Picture, cropped, from_bgr
from cart_firmware.devices.rpicam_pipe import PictureCutter, PipeCamera, RpicamCamera, rpicam_command
from cart_firmware.perception.colour import bgr
from cart_firmware.ports import Frame
from cart_protocol.host.clock import HostClock
from cart_protocol.host.configuration import ConfigurationError

WIDTH, HEIGHT = 64, 48
SMALL = CameraSettings(width=WIDTH, height=HEIGHT)


def i420(brightness: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    colour = ((width + 1) // 2) * ((height + 1) // 2)
    return bytes([brightness]) * (width * height) + bytes([128]) * (2 * colour)


def program(script: str) -> list[str]:
    """A camera program that writes pictures: `show(n)` writes one whose brightness is n everywhere."""
    start = (
        "import sys, time\n"
        f"def show(n): sys.stdout.buffer.write(bytes([n]) * {WIDTH * HEIGHT} + bytes([128]) * {WIDTH * HEIGHT // 2})"
        "; sys.stdout.flush()\n"
    )
    return [sys.executable, "-c", start + script]


@pytest.fixture
async def closing() -> AsyncIterator[list[PipeCamera]]:
    cameras: list[PipeCamera] = []
    yield cameras
    for camera in cameras:
        await camera.close()


async def first(camera: PipeCamera | BlockingCamera, count: int) -> list[Frame]:
    frames: list[Frame] = []
    async with asyncio.timeout(20):
        async for frame in camera.frames():
            frames.append(frame)
            if len(frames) == count:
                break
    return frames


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - a counter is not an event
            await asyncio.sleep(0.01)


# ── cutting the stream ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("piece", [1, 7, 4_608, 4_607, 100_000])
def test_pictures_are_cut_from_the_stream_however_it_arrives(piece: int) -> None:
    stream = i420(10) + i420(200) + i420(30)[:-1]
    cutter = PictureCutter(WIDTH, HEIGHT)
    pictures = [picture for at in range(0, len(stream), piece) for picture in cutter.feed(stream[at : at + piece])]
    assert [picture.luma.shape for picture in pictures] == [(HEIGHT, WIDTH)] * 2
    assert [set(picture.luma.ravel()) for picture in pictures] == [{10}, {200}]


def test_odd_sizes_round_the_colour_planes_up() -> None:
    cutter = PictureCutter(3, 3)
    (picture,) = cutter.feed(bytes(range(17)))
    assert picture.luma.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert picture.colour is not None
    assert picture.colour.planes.tolist() == [[[9, 10], [11, 12]], [[13, 14], [15, 16]]]


# ── the newest picture only ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_late_consumer_gets_the_newest_picture_and_the_others_are_counted() -> None:
    newest = NewestFrame()
    for at_us in (1, 2, 3):
        newest.put(Frame(at_us, np.zeros((1, 1), np.uint8)))
    frames = newest.frames()
    assert (await anext(frames)).at_us == 3
    assert newest.dropped == 2
    newest.close()
    assert [frame async for frame in frames] == []


# ── a program behind a pipe ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_programs_pictures_arrive_with_the_time_they_were_complete(closing: list[PipeCamera]) -> None:
    clock = HostClock()
    camera = PipeCamera(program("show(42); show(42); time.sleep(60)"), SMALL, clock)
    closing.append(camera)
    before_us = clock.monotonic_us()
    (frame,) = await first(camera, 1)
    assert frame.luma.shape == (HEIGHT, WIDTH)
    assert set(frame.luma.ravel()) == {42}
    assert before_us < frame.at_us <= clock.monotonic_us()


async def test_a_slow_consumer_does_not_slow_the_camera(closing: list[PipeCamera]) -> None:
    camera = PipeCamera(program("for n in range(200): show(n)\ntime.sleep(60)"), SMALL, HostClock())
    closing.append(camera)
    await first(camera, 1)
    await until(lambda: camera.dropped >= 190)
    assert (await first(camera, 1))[0].luma[0, 0] == 199


async def test_a_program_that_dies_is_started_again_and_its_last_words_are_kept(closing: list[PipeCamera]) -> None:
    script = "show(7); show(7)\nprint('no camera found', file=sys.stderr)\nsys.stdout.buffer.write(b'half a picture')"
    camera = PipeCamera(program(script), SMALL, HostClock())
    closing.append(camera)
    frames = await first(camera, 1)
    await until(lambda: camera.restarts >= 1)
    frames += await first(camera, 2)
    assert {frame.luma[0, 0] for frame in frames} == {7}
    assert camera.last_words == "no camera found"


async def test_a_program_that_never_starts_leaves_the_camera_trying(closing: list[PipeCamera], tmp_path: Path) -> None:
    camera = PipeCamera([str(tmp_path / "gone")], SMALL, HostClock())
    closing.append(camera)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await anext(aiter(camera.frames()))
    assert "gone" in camera.last_words


async def test_closing_ends_the_program_and_the_frames_even_if_it_ignores_the_request() -> None:
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: show(1)"
    camera = PipeCamera(program(script), SMALL, HostClock())
    frames = camera.frames()
    await anext(frames)
    await asyncio.wait_for(camera.close(), 10)
    assert [frame async for frame in frames] == []
    await camera.close()


async def test_a_program_that_writes_pictures_of_another_size_is_suspected_of_it(closing: list[PipeCamera]) -> None:
    camera = PipeCamera(program("show(7); sys.stdout.buffer.write(bytes(100))"), SMALL, HostClock())
    closing.append(camera)
    await first(camera, 1)
    await until(lambda: camera.restarts >= 1)
    assert "after 100 of the 4608 bytes of a picture; is it of another size?" in camera.complaint


async def test_a_pipe_cuts_the_region_out_and_says_what_it_cannot_set(closing: list[PipeCamera]) -> None:
    settings = CameraSettings(width=WIDTH, height=HEIGHT, exposure_us=500, gain=2, region=(0.25, 0.5, 0.5, 0.5))
    camera = PipeCamera(program("show(7); time.sleep(60)"), settings, HostClock())
    closing.append(camera)
    assert (await first(camera, 1))[0].luma.shape == (HEIGHT // 2, WIDTH // 2)
    assert camera.unmet == (
        "exposure_us: asked 500, but a program behind a pipe has settings of its own",
        "gain: asked 2, but a program behind a pipe has settings of its own",
    )


def rpicam(*said: str) -> list[str]:
    """A program that writes to its standard error, for every picture, what rpicam-vid does with our --info-text."""
    lines = "".join(f"    print({line!r}, file=sys.stderr, flush=True)\n" for line in said)
    return program(f"for n in range(15):\n    show(n)\n{lines}time.sleep(0.1)\nprint('it hurts', file=sys.stderr)\n")


@pytest.mark.parametrize(
    ("said", "unmet"),
    [
        ("cartwright exp 655.00 ag 1.98 lp 5.00", ()),
        ("cartwright exp 33000.00 ag 2.00 lp 5.00", ("exposure_us: asked 660, but the camera does 33000",)),
        ("cartwright exp 660.00 ag 2.00 lp -1.00", ("focus: asked 5, but the camera cannot set it",)),
    ],
)
async def test_rpicam_says_what_it_does_and_whoever_asks_hears_where_that_is_not_as_asked(
    closing: list[PipeCamera], said: str, unmet: tuple[str, ...]
) -> None:
    settings = CameraSettings(width=WIDTH, height=HEIGHT, exposure_us=660, gain=2, focus=5, region=(0, 0, 0.5, 0.5))
    camera = RpicamCamera(settings, HostClock(), rpicam(said))
    closing.append(camera)
    (frame,) = await first(camera, 1)
    assert frame.luma.shape == (HEIGHT, WIDTH), "the sensor is cropped, not the frame"
    await until(lambda: camera.restarts >= 1)
    assert camera.unmet == unmet
    assert camera.last_words == "it hurts", "reports are not for people"


def test_rpicam_is_told_exposure_gain_focus_and_region() -> None:
    """Names as in raspberrypi/rpicam-apps, core/options.cpp."""
    settings = CameraSettings(exposure_us=400, gain=4.5, focus=6.25, region=(0.25, 0.2, 0.5, 0.6))
    options = dict(pairwise(rpicam_command(settings)))
    assert options["--shutter"] == "400"
    assert options["--gain"] == "4.5"
    assert (options["--autofocus-mode"], options["--lens-position"]) == ("manual", "6.25")
    assert options["--roi"] == "0.25,0.2,0.5,0.6"
    assert options["--denoise"] == "off"


def test_what_is_left_to_the_camera_is_not_mentioned_to_rpicam() -> None:
    command = rpicam_command(CameraSettings(exposure_us=0))
    assert not {"--shutter", "--gain", "--lens-position", "--autofocus-mode", "--roi"} & {*command}


def test_rpicam_writes_raw_pictures_to_its_output_for_ever() -> None:
    command = rpicam_command(CameraSettings(width=1280, height=720, frames_per_second=30))
    assert command[0] == "rpicam-vid"
    options = dict(pairwise(command))
    assert options["--codec"] == "yuv420"
    assert options["--timeout"] == "0"
    assert options["--output"] == "-"
    assert (options["--width"], options["--height"], options["--framerate"]) == ("1280", "720", "30")


# ── libraries that block ─────────────────────────────────────────────────────────────────────────────────────────


class FakePicamera2:
    """As picamera2.Picamera2: YUV420 planes below each other, rows padded to 64 bytes; what it can set, and does."""

    def __init__(self, *lacks: str, does: Mapping[str, object] | None = None) -> None:
        names = "ExposureTime ExposureTimeMode AnalogueGain AnalogueGainMode AeEnable LensPosition AfMode ScalerCrop"
        known = {*names.split(), "FrameDurationLimits", "NoiseReductionMode"} - {*lacks}
        self.camera_controls = dict.fromkeys(known)
        self.camera_properties = {"ScalerCropMaximum": (16, 8, 3200, 2400)}
        self.log: list[str] = []
        self.configuration: object = None
        self.controls: Mapping[str, object] = {}
        self._does = does or {}

    def create_video_configuration(self, *, main: Mapping[str, object], controls: Mapping[str, object]) -> object:
        return {"main": main, "controls": controls}

    def configure(self, configuration: object, /) -> object:
        self.configuration = configuration
        return None

    def set_controls(self, controls: Mapping[str, object], /) -> object:
        if unknown := {*controls} - {*self.camera_controls}:
            raise RuntimeError(f"Control {unknown} is not advertised by libcamera")
        self.controls = controls
        return None

    def start(self) -> object:
        self.log.append("start")
        return None

    def capture_array(self, name: str, /) -> NDArray[np.uint8]:
        assert name == "main"
        picture = np.full((HEIGHT * 3 // 2, 64), 128, np.uint8)
        picture[:HEIGHT, :40] = 99
        picture[HEIGHT : HEIGHT * 5 // 4] = 77
        return picture

    def capture_metadata(self) -> Mapping[str, object]:
        return {**self.controls, **self._does}

    def stop(self) -> object:
        self.log.append("stop")
        return None

    def close(self) -> object:
        self.log.append("close")
        return None


async def test_picamera2_shows_its_brightness_plane_without_the_padding() -> None:
    library = FakePicamera2()
    settings = CameraSettings(width=40, height=HEIGHT, frames_per_second=25)
    camera = BlockingCamera(Picamera2Device(library, settings), HostClock())
    (frame,) = await first(camera, 1)
    assert frame.luma.shape == (HEIGHT, 40)
    assert frame.colour is not None
    assert frame.colour.planes.shape == (2, HEIGHT // 2, 20)
    assert [set(plane.ravel()) for plane in frame.colour.planes] == [{77}, {128}]
    assert set(frame.luma.ravel()) == {99}
    await camera.close()
    assert library.log == ["start", "stop", "close"]
    assert library.configuration == {"main": {"size": (40, HEIGHT), "format": "YUV420"}, "controls": {}}
    assert library.controls["FrameDurationLimits"] == (40_000, 40_000)


def test_picamera2_is_told_exposure_gain_focus_and_the_part_of_its_sensor() -> None:
    library = FakePicamera2()
    Picamera2Device(library, CameraSettings(exposure_us=400, gain=4, focus=5, region=(0.5, 0.25, 0.25, 0.5)))
    wanted = {
        "ExposureTime": 400, "AnalogueGain": 4, "AeEnable": False, "LensPosition": 5, "AfMode": 0,
        "ScalerCrop": (16 + 1600, 8 + 600, 800, 1200),
    }  # fmt: skip
    assert {name: library.controls[name] for name in wanted} == wanted


def test_picamera2_finds_the_gain_itself_when_only_the_exposure_is_fixed() -> None:
    library = FakePicamera2()
    Picamera2Device(library, CameraSettings(exposure_us=400))
    assert library.controls["AeEnable"] is True
    assert library.controls["ExposureTimeMode"] == 1, "manual"
    assert not {"AnalogueGain", "AnalogueGainMode", "LensPosition", "ScalerCrop"} & {*library.controls}


async def test_a_picamera2_that_cannot_move_its_lens_and_exposes_longer_says_both() -> None:
    library = FakePicamera2("LensPosition", "AfMode", does={"ExposureTime": 900})
    settings = CameraSettings(width=40, height=HEIGHT, exposure_us=400, gain=2, focus=5)
    device = Picamera2Device(library, settings)
    for _ in range(20):
        device.read()
    assert device.unmet == (
        "focus: asked 5, but the camera cannot set it",
        "exposure_us: asked 400, but the camera does 900",
    )


class Webcam:
    """As cv2.VideoCapture on V4L2: takes the properties it knows, within its bounds."""

    def __init__(self, bounds: Mapping[int, tuple[float, float]], width: int = 640, height: int = 480) -> None:
        self.values: dict[int, float] = {cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height}
        self._bounds = bounds

    def set(self, prop: int, value: float, /) -> bool:
        if prop not in self._bounds:
            return False
        lowest, highest = self._bounds[prop]
        self.values[prop] = min(max(value, lowest), highest)
        return True

    def get(self, prop: int, /) -> float:
        return self.values.get(prop, 0.0)


def test_v4l2_is_set_to_manual_and_exposes_in_steps_of_a_tenth_of_a_millisecond() -> None:
    webcam = Webcam({
        cv2.CAP_PROP_AUTO_EXPOSURE: (0, 3), cv2.CAP_PROP_EXPOSURE: (1, 5_000), cv2.CAP_PROP_GAIN: (0, 255),
        cv2.CAP_PROP_AUTOFOCUS: (0, 1), cv2.CAP_PROP_FOCUS: (0, 250),
    })  # fmt: skip
    assert adjust(webcam, CameraSettings(exposure_us=660, gain=30, focus=120)) == ()
    assert webcam.values[cv2.CAP_PROP_AUTO_EXPOSURE] == 1, "V4L2_EXPOSURE_MANUAL"
    assert webcam.values[cv2.CAP_PROP_EXPOSURE] == 7, "V4L2_CID_EXPOSURE_ABSOLUTE"
    assert webcam.values[cv2.CAP_PROP_GAIN] == 30
    assert (webcam.values[cv2.CAP_PROP_AUTOFOCUS], webcam.values[cv2.CAP_PROP_FOCUS]) == (0, 120)


def test_a_webcam_that_cannot_says_what_it_does_instead() -> None:
    webcam = Webcam({cv2.CAP_PROP_EXPOSURE: (50, 5_000)}, width=800, height=600)
    assert adjust(webcam, CameraSettings(exposure_us=400, focus=3)) == (
        "exposure_us: asked 400, but the camera does 5000",
        "focus: asked 3, but the camera cannot set it",
        "width, height: asked 640x480, but the camera does 800x600",
    )


def test_a_webcam_left_to_itself_is_not_touched() -> None:
    webcam = Webcam({cv2.CAP_PROP_AUTO_EXPOSURE: (0, 3)})
    assert adjust(webcam, CameraSettings(exposure_us=0)) == ()
    assert cv2.CAP_PROP_AUTO_EXPOSURE not in webcam.values


class Unplugged:
    """A device that gives one picture, then none until it was reopened."""

    name = "unplugged"
    unmet = ()

    def __init__(self) -> None:
        self.pictures = [Picture(np.zeros((2, 2), np.uint8))]
        self.reopened = 0

    def read(self) -> Picture | None:
        return self.pictures.pop() if self.pictures else None

    def reopen(self) -> None:
        self.reopened += 1
        self.pictures.append(Picture(np.ones((2, 2), np.uint8)))

    def close(self) -> None:
        self.pictures.clear()


async def test_a_camera_that_falls_silent_is_opened_again() -> None:
    device = Unplugged()
    camera = BlockingCamera(device, HostClock())
    frames = await first(camera, 2)
    assert [frame.luma[0, 0] for frame in frames] == [0, 1]
    assert device.reopened == 1
    await camera.close()


# ── a part of the picture ────────────────────────────────────────────────────────────────────────────────────────

shares = st.floats(0, 1, allow_subnormal=False)


@given(st.integers(1, 2_000), st.integers(1, 2_000), st.tuples(shares, shares), st.tuples(shares, shares))
def test_a_region_is_never_empty_and_never_reaches_out_of_the_picture(
    width: int, height: int, corner: tuple[float, float], room: tuple[float, float]
) -> None:
    (left, top), (wide, high) = corner, room
    x, y, w, h = in_pixels((left, top, wide * (1 - left), high * (1 - top)), width, height)
    assert 0 <= x < width
    assert 0 <= y < height
    assert 1 <= w <= width - x
    assert 1 <= h <= height - y


def test_the_whole_picture_is_not_copied() -> None:
    picture = Picture(np.zeros((4, 6), np.uint8))
    assert cropped(picture, CameraSettings().region) is picture


PAINTS = {"red": (30, 20, 200), "green": (40, 180, 30), "blue": (200, 60, 20), "grey": (120, 120, 120)}


@pytest.mark.parametrize("paint", PAINTS)
def test_a_camera_behind_a_pipe_shows_the_colours_that_were_before_it(paint: str) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), PAINTS[paint], np.uint8)
    (picture,) = PictureCutter(WIDTH, HEIGHT).feed(cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420).tobytes())
    _shows(picture, pixels)


@pytest.mark.parametrize("paint", PAINTS)
def test_a_picture_of_opencv_keeps_its_colours_and_its_whole_contrast(paint: str) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), PAINTS[paint], np.uint8)
    pixels[: HEIGHT // 2] = 255
    picture = from_bgr(pixels)
    assert picture.luma.max() == 255
    _shows(picture, pixels)
    lower = cropped(picture, (0.5, 0.5, 0.25, 0.5))
    _shows(lower, pixels[HEIGHT // 2 :, : WIDTH // 4])


def test_a_grey_camera_has_no_colours() -> None:
    assert from_bgr(np.zeros((4, 4), np.uint8)).colour is None


def _shows(picture: Picture, pixels: NDArray[np.uint8]) -> None:
    assert picture.colour is not None
    shown = bgr(picture.luma, picture.colour.planes, limited=picture.colour.limited)
    assert shown.shape == pixels.shape
    assert np.abs(shown.astype(int) - pixels).mean() < 4


# ── films and folders ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_film_plays_over_and_over(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 100, (WIDTH, HEIGHT))
    for brightness in (20, 120, 220):
        film.write(np.full((HEIGHT, WIDTH, 3), brightness, np.uint8))
    film.release()
    source = open_frame_source(CameraSettings(device=f"file:{path}"), HostClock())
    shown = []
    async for frame in source.frames():
        shown.append(round(int(frame.luma[0, 0]), -1))
        if len(shown) == 5:
            break
    await source.close()
    assert shown == [20, 120, 220, 20, 120]


async def test_a_folder_shows_its_pictures_in_order_each_in_its_own_size_over_and_over(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    cv2.imwrite(str(tmp_path / "a.png"), np.full((30, 20), 10, np.uint8))
    (tmp_path / "b.png").write_bytes(b"no picture at all")
    cv2.imwrite(str(tmp_path / "deep" / "c.png"), np.full((12, 16, 3), 250, np.uint8))
    (tmp_path / "manifest.csv").write_text("not a picture")
    source = open_frame_source(CameraSettings(device=f"folder:{tmp_path}", frames_per_second=200), HostClock())
    shown = []
    async for frame in source.frames():
        shown.append((frame.luma.shape, int(frame.luma[0, 0])))
        if len(shown) == 3:
            break
    await source.close()
    assert shown == [((30, 20), 10), ((12, 16), 250), ((30, 20), 10)]


async def test_pictures_are_cut_to_the_region_and_say_what_they_cannot_be_set_to(tmp_path: Path) -> None:
    picture = np.zeros((40, 80), np.uint8)
    picture[10:30, 20:40] = 200
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    settings = CameraSettings(device=f"folder:{tmp_path}", region=(0.25, 0.25, 0.25, 0.5), focus=4)
    source = open_frame_source(settings, HostClock())
    frame = await anext(aiter(source.frames()))
    await source.close()
    assert frame.luma.shape == (20, 20)
    assert set(frame.luma.ravel()) == {200}
    assert source.unmet == ("focus: asked 4, but pictures are as they were taken",)


# ── the lamp ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_lamp_is_lit_while_somebody_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    factory = MockFactory()
    monkeypatch.setattr("gpiozero.pins.mock.MockFactory", lambda: factory)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4), np.uint8))
    settings = CameraSettings(device=f"folder:{tmp_path}", lamp="gpiozero.pins.mock:MockFactory:18")
    source = open_frame_source(settings, HostClock())
    pin = factory.pin(18)
    assert pin.state == 0
    frames = aiter(source.frames())
    await anext(frames)
    assert pin.state == 1
    await source.close()
    assert pin.function == "input", "nothing drives it any more"
    factory.reset()


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (CameraSettings(device="webcam"), "is none of 'rpicam'"),
        (CameraSettings(device="v4l2:front"), "is none of 'rpicam'"),
        (CameraSettings(device="v4l2:63"), "camera 63 does not open"),
        (CameraSettings(device="folder:/no/such/folder"), "is no folder"),
        (CameraSettings(device="file:/no/such/film.mp4"), "no film that can be read"),
        (CameraSettings(device="pipe:/no/such/program --fast"), "no program '/no/such/program'"),
        (CameraSettings(device="pipe:'"), "quote it"),
        (CameraSettings(device="pipe: "), "needs a command"),
        (CameraSettings(device="rpicam", width=500), "multiple of 64"),
        (CameraSettings(device="rpicam", frames_per_second=0), "above zero"),
        (CameraSettings(region=(0.5, 0, 0.6, 1)), "write [left, top, width, height] as shares"),
        (CameraSettings(region=(0, 0, 0, 1)), "camera.region: [0, 0, 0, 1] is no part of a picture"),
        (CameraSettings(device="pipe:cat", lamp="18"), "write its factory and number, such as 'lgpio:18'"),
        (CameraSettings(device="pipe:cat", lamp="gpio:18"), "camera.lamp: pins 'gpio': unknown"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_a_remedy(settings: CameraSettings, said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_frame_source(settings, HostClock())
    assert said in str(refusal.value)


@pytest.mark.skipif(shutil.which("rpicam-vid") is not None, reason="rpicam-vid is installed here")
def test_without_rpicam_the_error_names_the_package() -> None:
    with pytest.raises(ConfigurationError, match="apt install rpicam-apps-lite"):
        open_frame_source(CameraSettings(), HostClock())


def test_without_picamera2_the_error_names_the_extra() -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'cartwright\[pi\]'"):
        open_frame_source(CameraSettings(device="picamera2"), HostClock())


def test_an_empty_folder_is_no_camera(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no pictures"):
        open_frame_source(CameraSettings(device=f"folder:{tmp_path}"), HostClock())


async def test_a_folder_of_unreadable_pictures_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    source = open_frame_source(CameraSettings(device=f"folder:{tmp_path}"), HostClock())
    with pytest.raises(ConfigurationError, match="none of the pictures"):
        await anext(aiter(source.frames()))

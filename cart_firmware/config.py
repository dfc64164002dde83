"""The cart's configuration file, described. Unknown keys stop the start (cart_protocol.host.configuration)."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cart: str
    """Id of this cart; the common name of its certificate."""
    store: str
    """Id of the store it belongs to."""
    phone_page: str
    """Address of the store's phone page; the cart's code is appended as ?code=."""


class Broker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str
    """Name or address of the store's MQTT broker, as in its certificate."""
    port: int = 8883
    """TLS port of the broker; there is none without TLS."""
    authority: Path
    """Certificate of the store's authority (PEM)."""
    certificate: Path
    """This cart's own certificate (PEM), signed by that authority."""
    key: Path
    """Private key (PEM) of that certificate."""
    keepalive_s: int = 15
    """How often the connection shows that it lives; the broker counts one and a half times this silence as a loss."""


class LoadCellSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    device: str = "hx711-spi:0.0"
    """'hx711-spi:BUS.CHIP', 'hx711-bitbang:DOUT,SCK' (BCM numbers), 'hx711-iio:iio:device0',
    'hx711-package:DOUT,SCK' or 'nau7802:BUS'. Instead of a bus, 'package.module:callable?key=value'; instead of
    RPi.GPIO, the same after '@'."""
    cells: tuple[str, ...] = ()
    """Several converters that are one platform, each written as `device` is, which is then not used. Four from the
    front left, clockwise seen from above."""
    rate_hz: int = 80
    """Conversions per second: 10 or 80, as an HX711's RATE pin is strapped; a NAU7802 also does 20, 40 and 320."""
    gain: int = 128
    """Of the converter; an HX711 also does 64, and 32 on its input B."""
    counts_per_kilogram: float = 83_886.08
    """Slope. Default: 50 kg, 2 mV/V cell at gain 128 (HX711 datasheet: full scale +-20 mV at 5 V). Like those below it
    is used until `cart-firmware calibrate` has written a calibration into the state folder."""
    zero_counts: int = 0
    """Counts of the empty platform."""
    trims: tuple[float, ...] = ()
    """Factor of each cell's counts."""
    zeros: tuple[int, ...] = ()
    """Each cell's counts on the empty platform."""
    repeat_mg: int = 1_500
    """How well it weighs the same thing twice, one sigma; a calibration with repeated weighings says."""
    place_ppm: int = 0
    """What the place of a thing does to its mass, one sigma; a calibration with corners says."""


class CameraSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    device: str = "rpicam"
    """'rpicam', 'picamera2', 'v4l2:0', 'file:VIDEO', 'folder:DIR', or 'pipe:COMMAND' writing I420 to its output."""
    width: int = 640
    """Of a frame, in pixels."""
    height: int = 480
    """Of a frame, in pixels."""
    frames_per_second: int = 15
    """Asked of the camera; it may deliver fewer."""
    exposure_us: Annotated[int, Meta(ge=0, le=1_000_000)] = 660
    """Time of exposure; 0 lets the camera choose. The default moves a pack that goes by at 0.5 m/s by one module
    (0.33 mm), which is the most that can be read (docs/HARDWARE.md); it takes a lamp."""
    gain: Annotated[float, Meta(ge=0, le=1_000)] = 0.0
    """Analogue gain, 1 is none; 0 lets the camera choose. With v4l2 the driver's own number (`v4l2-ctl -L`)."""
    focus: Annotated[float, Meta(ge=0, le=10_000)] | None = None
    """Where the lens is set, in dioptres: 1 divided by metres, 5 is 20 cm. Without it the camera does as it likes; a
    fixed lens needs none. With v4l2 the driver's own number."""
    region: tuple[Share, Share, Share, Share] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, width and height of what is looked at, as shares of the whole picture. rpicam and picamera2 show that
    part of the sensor in a whole frame, which gives more pixels per module; the other cameras cut it out of theirs."""
    lamp: str = ""
    """A lamp that is lit while the camera is watched: 'PINS:NUMBER', such as 'lgpio:18', GPIO numbered as BCM. PINS is
    gpiozero's pin factory or 'package.module:callable?key=value'. Empty where there is none, or it is always lit."""


class HandsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    watch: bool = False
    """Whether the camera sees the rim of the cart, so that it can tell which way hands go (docs/HARDWARE.md)."""
    rim: tuple[Share, Share, Share, Share] = (0.0, 0.69, 1.0, 0.69)
    """Two points of the line over which hands reach in: x and y of the first, x and y of the second, as shares of the
    picture's width and height. Seen from the first, looking at the second, the inside of the cart is on the left:
    from left to right, it is above the line."""


class Screen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    """The screen is the cart's own: loopback only."""
    port: int = 8080
    """TCP port of the screen's page."""


class ImuSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    device: str = ""
    """'mpu6050:BUS' or 'lsm6:BUS', as 'mpu6050:1'; instead of a bus, 'package.module:callable?key=value'. Empty where
    there is none: then a cart that stops on a slope weighs less, up to 27 g of 20 kg on three degrees."""
    up: tuple[int, int, int] = (0, 0, 0)
    """What it reads on level floor, x, y and z in millionths of gravity; `cart-firmware calibrate` finds it. All 0: not
    known, and slopes are not corrected."""


class Weighing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    window_ms: int = 400
    """A quiet window: as long as a scale must rest before its weight counts; `scripts/bench trips` compares."""
    band_mg: int = 6_000
    """Greatest range of its four block means."""
    smallest_step_mg: int = 12_000
    """Changes below this are drift."""
    platform_mg: int = 2_000_000
    """What basket and platform weigh themselves: on a slope they lose their share too."""
    division_mg: Annotated[int, Meta(gt=0)] = 5_000
    """The scale's division e, for what it shows."""
    capacity_mg: Annotated[int, Meta(gt=0)] = 50_000_000
    """The scale's Max; above it and nine divisions it shows an overload."""
    sealed: bool = False
    """Verified for trade: shows divisions, and nothing while the load moves. Otherwise masses are approximate."""


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flight recorder (docs/FLIGHT_RECORDER.md)."""

    size_mib: Annotated[int, Meta(ge=0, le=65_536)] = 32
    """What records may take in the state folder, price books included; the oldest goes. 0 records nothing."""
    segment_kib: Annotated[int, Meta(ge=16, le=65_536)] = 1_024
    """Where the next file begins; one is lost at a time."""
    leave_free_mib: Annotated[int, Meta(ge=0)] = 96
    """Recording stops while the disk has less room than this: the outbox comes first."""


class RecognitionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Goods by sight (docs/GOODS_BY_SIGHT.md)."""

    use: bool = False
    """Whether the cart looks at goods; it takes a camera that sees them, and some of one processor core."""
    network: Path | None = None
    """Another network than the one that was installed with this program (TensorFlow Lite)."""
    knowledge: Path | None = None
    """What belongs to that network; both files come from one training (`scripts/train`)."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    identity: Identity
    broker: Broker
    state: Path
    """Folder for the outbox; on the data partition."""
    price_book_key: Path
    """The store's public key (PEM, Ed25519) that signs price books."""
    load_cell: LoadCellSettings = LoadCellSettings()
    imu: ImuSettings = ImuSettings()
    camera: CameraSettings = CameraSettings()
    hands: HandsSettings = HandsSettings()
    screen: Screen = Screen()
    weighing: Weighing = Weighing()
    recorder: RecorderSettings = RecorderSettings()
    recognition: RecognitionSettings = RecognitionSettings()
    outbox_capacity: Annotated[int, Meta(ge=100, le=10_000_000)] = 50_000
    """Unacknowledged events kept; staff hear of it at four fifths, and at the bound the cart takes no more scans."""
    scan_patience_s: int = 20
    """How long a scan waits for its weight before it is abandoned."""

"""The calibration certificate: the same figures as text and as a page to print."""

from collections.abc import Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined

from cart_firmware.core.calibration import CalibrationRecord
from cart_firmware.core.cross_check import places
from cart_protocol.mass import Mass, shown

TITLE = "Calibration of a cart's scale"
REMARK = (
    "No verification under weights-and-measures law (OIML R76): the cart shows approximate weights. The uncertainty of "
    "the known masses is not included."
)


def plain(record: CalibrationRecord) -> str:
    """Return the certificate as lines of text."""
    width = max(len(name) for _, rows in _sections(record) for name, *_ in rows)
    lines = [TITLE, "=" * len(TITLE)]
    for heading, rows in _sections(record):
        lines += ["", heading]
        lines += [f"  {name:<{width}}  {'  '.join(values)}".rstrip() for name, *values in rows]
    return "\n".join([*lines, "", REMARK])


def page(record: CalibrationRecord) -> str:
    """Return the certificate as one HTML page that needs nothing else."""
    templates = Environment(loader=PackageLoader("cart_firmware.screen"), autoescape=True, undefined=StrictUndefined)
    template = templates.get_template("certificate.html")
    return template.render(title=TITLE, remark=REMARK, cart=record.cart, sections=tuple(_sections(record)))


Row = tuple[str, ...]


def _sections(record: CalibrationRecord) -> Iterator[tuple[str, list[Row]]]:
    """Return the certificate's parts: a heading, and rows of a name, a value and its limit."""
    figures, limits = record.figures, record.limits
    yield (
        "Scale",
        [
            ("Cart", record.cart),
            ("Load cell", ", ".join(record.devices)),
            ("Converter", f"{record.rate_hz} conversions per second, gain {record.gain}"),
            ("Date (UTC)", record.made_at),
            ("Calibrated by", record.made_by or "not said"),
        ],
    )
    yield (
        "Line",
        [
            ("Empty platform", f"{record.zero_counts} counts"),
            ("Slope", f"{record.counts_per_kilogram:.3f} counts per kilogram"),
            *(
                (f"Factor {place}", f"{trim:.6f}")
                for place, trim in zip(places(len(record.trims)), record.trims, strict=True)
            ),
        ],
    )
    yield (
        "Errors",
        [
            ("Noise of a reading (1 sigma)", _grams(figures.noise)),
            *(
                (f"Known mass {shown(mass)}", _grams(error), f"limit {_grams(Mass(limits.linearity + mass // 1_000))}")
                for mass, error in figures.errors
            ),
            ("Empty again", _grams(figures.zero_return), f"limit {_grams(limits.zero_return)}"),
            *(
                (f"{shown(figures.corner_mass)} {place}", _grams(error), f"limit {_grams(limits.corner)}")
                for place, error in zip(places(len(figures.corners)), figures.corners, strict=True)
            ),
            ("Repeatability (range)", _grams(figures.repeatability), f"limit {_grams(limits.repeatability)}"),
        ],
    )


def _grams(mass: Mass) -> str:
    return f"{mass / 1_000:.1f} g"

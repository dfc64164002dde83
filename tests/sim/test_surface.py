"""What may be on a disk when the power goes."""

from random import Random

from sim.surface import (
    SECTOR,
    Create,
    Delete,
    Surface,
    Truncate,
    Write,
    all_but,
    any_of,
    everything,
    first,
    nothing,
    torn,
)


def a_surface(content: bytes = b"old") -> Surface:
    surface = Surface()
    surface.hold("file", content)
    return surface


def test_what_was_synced_is_certain_and_the_rest_is_not() -> None:
    surface = a_surface()
    surface.change("file", Write(0, b"new"))
    assert surface.after(nothing) == {"file": b"old"}
    assert surface.after(everything) == surface.now() == {"file": b"new"}
    surface.sync("file")
    assert surface.after(nothing) == {"file": b"new"}


def test_a_sync_says_nothing_about_another_file() -> None:
    surface = a_surface()
    surface.hold("other", b"")
    surface.change("other", Write(0, b"text"))
    surface.sync("file")
    assert surface.after(nothing)["other"] == b""


def test_changes_reach_the_disk_in_any_order() -> None:
    surface = a_surface()
    surface.change("file", Write(3, b"er"))
    surface.change("file", Truncate(1))
    surface.change("file", Write(2, b"d"))
    assert surface.after(first(1)) == {"file": b"older"}
    assert surface.after(all_but(1)) == {"file": b"older"[:2] + b"der"[0:1] + b"er"}
    assert surface.after(everything) == {"file": b"o\0d"}
    assert surface.size("file") == 3


def test_a_new_file_or_a_deletion_is_uncertain_until_it_is_synced() -> None:
    surface = a_surface()
    surface.change("file", Delete())
    surface.change("new", Create())
    surface.change("new", Write(0, b"text"))
    assert surface.after(nothing) == {"file": b"old"}
    assert surface.after(first(1)) == {}
    assert surface.after(all_but(1)) == {}, "a change of a file that is not there is lost with it"
    surface.change("another/file", Create())
    surface.sync("new")
    assert surface.after(nothing) == {"new": b"text"}, "the first sync of a new file syncs the names in its folder"


def test_a_torn_write_has_whole_sectors_of_old_and_new() -> None:
    surface = a_surface(b"o" * 4 * SECTOR)
    surface.change("file", Write(100, b"n" * 2 * SECTOR))
    seen = {surface.after(torn(Random(seed)))["file"] for seed in range(200)}
    expected = {
        b"o" * 100 + b"".join(new[: end - begin] for new, begin, end in zip(choice, BEGINS, ENDS, strict=True))
        + b"o" * (2 * SECTOR - 100)
        for choice in CHOICES
    }  # fmt: skip
    assert seen == expected


BEGINS, ENDS = (100, SECTOR, 2 * SECTOR), (SECTOR, 2 * SECTOR, 2 * SECTOR + 100)
CHOICES = [
    (a * SECTOR, b * SECTOR, c * SECTOR) for a in (b"o", b"n") for b in (b"o", b"n") for c in (b"o", b"n")
]  # fmt: skip


def test_the_dice_reach_every_way_of_losing_things() -> None:
    surface = a_surface(b"o" * SECTOR)
    surface.change("file", Write(0, b"1" * 10))
    surface.change("file", Write(5, b"2" * 10))
    seen = {surface.after(any_of(Random(seed)))["file"][:15] for seed in range(200)}
    assert seen == {b"o" * 15, b"1" * 10 + b"o" * 5, b"1" * 5 + b"2" * 10, b"o" * 5 + b"2" * 10}

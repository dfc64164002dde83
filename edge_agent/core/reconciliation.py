"""Our payments against the acquirer's settlement file: what both say, what only one says, and where they differ."""

from collections.abc import Sequence

import msgspec

from cart_protocol.money import Money


class OurTender(msgspec.Struct, frozen=True, kw_only=True):
    """A tender as our journal has it. `key` is its idempotency key; `reference` is empty until it has its answer."""

    key: str
    reference: str
    captured: Money
    refunded: Money
    in_doubt: bool
    """Asked and not answered: we do not claim that nothing moved."""
    at_ms: int


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the settlement file: a charge that moved money."""

    key: str
    reference: str
    captured: Money
    refunded: Money
    at_ms: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Both know the payment and say different things of it."""

    ours: OurTender
    theirs: Settled
    what: tuple[str, ...]
    """Which fields: 'captured', 'refunded', 'reference', or 'in-doubt' where we have no answer yet."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """Three lists, and what stands in both books but not alike."""

    matching: tuple[OurTender, ...] = ()
    ours_only: tuple[OurTender, ...] = ()
    """We say that money moved, or do not know; the file does not say so."""
    theirs_only: tuple[Settled, ...] = ()
    """Money moved under a key that is none of ours, or more than once under one that is."""
    differing: tuple[Difference, ...] = ()

    @property
    def agrees(self) -> bool:
        return not (self.ours_only or self.theirs_only or self.differing)


def reconcile(
    ours: Sequence[OurTender], theirs: Sequence[Settled], *, since_ms: int | None = None, until_ms: int | None = None
) -> Reconciliation:
    """Compare by idempotency key, which is a payment's name for life on both sides.

    A file may cover a day only: its lines are looked up among all our tenders, whenever they were made, and only of
    those from `since_ms` up to but not including `until_ms` is it asked that they stand in the file.
    """
    known = {tender.key: tender for tender in ours}
    matching: list[OurTender] = []
    theirs_only: list[Settled] = []
    differing: list[Difference] = []
    seen: set[str] = set()
    for line in theirs:
        tender = known.get(line.key)
        if tender is None or line.key in seen:
            theirs_only.append(line)
            continue
        seen.add(line.key)
        if what := _differences(tender, line):
            differing.append(Difference(ours=tender, theirs=line, what=what))
        else:
            matching.append(tender)
    missing = [
        tender for tender in ours
        if tender.key not in seen and _claims(tender)
        and (since_ms is None or tender.at_ms >= since_ms) and (until_ms is None or tender.at_ms < until_ms)
    ]  # fmt: skip
    return Reconciliation(
        matching=tuple(matching), ours_only=tuple(missing), theirs_only=tuple(theirs_only), differing=tuple(differing)
    )


def report(found: Reconciliation) -> list[str]:
    """Return what a person at a terminal reads, the discrepancies last, where the eye is."""
    lines = [f"{len(found.matching)} payments match"]
    if found.ours_only:
        lines.append(f"ours only: {len(found.ours_only)}. The acquirer's file does not have them.")
        lines += [f"  {_ours(tender)}" for tender in found.ours_only]
    if found.theirs_only:
        lines.append(f"theirs only: {len(found.theirs_only)}. Money moved that our books do not know.")
        lines += [f"  {_theirs(settled)}" for settled in found.theirs_only]
    if found.differing:
        lines.append(f"differing: {len(found.differing)}. Both have them, not alike.")
        for each in found.differing:
            lines.append(f"  {', '.join(each.what)}: ours {_ours(each.ours)}")
            lines.append(f"  {' ' * len(', '.join(each.what))}  theirs {_theirs(each.theirs)}")
    return lines


def _ours(tender: OurTender) -> str:
    doubt = ", no answer yet" if tender.in_doubt else ""
    return f"{tender.key} {tender.reference or '-'} captured {tender.captured}, refunded {tender.refunded}{doubt}"


def _theirs(line: Settled) -> str:
    return f"{line.key} {line.reference or '-'} captured {line.captured}, refunded {line.refunded}"


def _claims(tender: OurTender) -> bool:
    return tender.in_doubt or tender.captured.minor != 0 or tender.refunded.minor != 0


def _differences(ours: OurTender, theirs: Settled) -> tuple[str, ...]:
    if ours.in_doubt:
        return ("in-doubt",)
    pairs = (
        ("captured", ours.captured, theirs.captured), ("refunded", ours.refunded, theirs.refunded),
        ("reference", ours.reference, theirs.reference),
    )  # fmt: skip
    return tuple(name for name, mine, other in pairs if mine != other)

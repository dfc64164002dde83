"""The store's gauges: thresholds from the configuration, and the sentences that staff read."""

from edge_agent.config import Limits
from edge_agent.core.level import Gauge

FULL = Gauge(
    name="journal-full", unit="", warn=0.5, limit=0.5, warning="",
    limited="The store's disk is full and nothing can be recorded. Carts go on shopping and keep what they have; "
    "payments and the exit wait. Please make room on the disk.",
)  # fmt: skip


def disk(limits: Limits) -> Gauge:
    return Gauge(
        name="journal-disk-free", unit="MB", falling=True, warn=limits.disk_warn_mb, limit=limits.disk_floor_mb,
        warning="The store's disk is filling up. Please make room on it, or have it made.",
        limited="The store's disk is nearly full: no new shopper can start, running trips are finished. "
        "Please make room on the disk now.",
    )  # fmt: skip


def journal(limits: Limits) -> Gauge:
    return Gauge(
        name="journal-size", unit="MB", warn=limits.journal_warn_mb,
        warning="The store's journal has grown large, so that a restart takes long. "
        "Please have it archived, or move the store to a larger box.",
    )  # fmt: skip


def log(limits: Limits) -> Gauge:
    return Gauge(
        name="journal-log-size", unit="MB", warn=limits.log_warn_mb,
        warning="Somebody has been reading the store's database for very long, which fills the disk. "
        "Please end that program (a backup, a report).",
    )  # fmt: skip


def waiting(limits: Limits) -> Gauge:
    return Gauge(
        name="waiting-to-be-recorded", unit="decisions", warn=limits.waiting_warn,
        warning="The store records slower than its carts report. What they report is safe and arrives later.",
    )  # fmt: skip


def commit(limits: Limits) -> Gauge:
    return Gauge(
        name="commit-time", unit="ms", warn=limits.commit_warn_ms,
        warning="The store's disk takes very long to write: pages and lanes are slow. Is the disk failing or busy?",
    )  # fmt: skip


def payments(limits: Limits) -> Gauge:
    return Gauge(
        name="payments-without-answer", unit="payments", warn=limits.payments_warn,
        warning="Many payments have no answer from the acquirer. They are asked about until they have one. "
        "Is the connection to the acquirer down?",
    )  # fmt: skip


def strangers(limits: Limits) -> Gauge:
    return Gauge(
        name="carts-that-never-reported", unit="carts", warn=limits.strangers * 0.8, limit=limits.strangers,
        warning="Very many carts speak to the store and never report anything. Are all of their certificates ours?",
        limited="Too many carts speak to the store and never report anything: new carts are not listened to. "
        "Revoke the certificates that are not in use, then restart the store's agent.",
    )  # fmt: skip


def dropped() -> Gauge:
    return Gauge(
        name="messages-dropped-lately", unit="messages", warn=0.5,
        warning="Messages between the store and its carts were dropped: the broker was away, or too many came at once. "
        "Nothing is lost, because carts and store repeat what was not answered.",
    )  # fmt: skip


def pages(limits: Limits) -> Gauge:
    return Gauge(
        name="live-pages", unit="pages", warn=limits.pages * 0.8, limit=limits.pages,
        warning="Nearly as many live pages are open as the store serves.",
        limited="As many live pages are open as the store serves: one more is refused, and tries again by itself.",
    )  # fmt: skip


CLOSES_THE_DOOR = {FULL.name, "journal-disk-free"}
"""At the limit of these no new shopper may start."""

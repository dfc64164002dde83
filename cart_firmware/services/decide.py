"""What a cart makes of one thing after the other: the deciding part of `fuse`, without clock, disk or event loop.

`Fuse` asks it live; `replay` asks it again with what was recorded. Asking changes nothing: a decision takes effect when
it is settled, which is after it was recorded.
"""

from typing import Protocol, assert_never, get_args

import msgspec

from cart_firmware.core import fusion, session
from cart_firmware.core.decision import Context, Draft, Evidence, Passed, Sighted
from cart_firmware.core.hypotheses import Hypothesis
from cart_firmware.core.recording import FusionSettings
from cart_firmware.core.scanning import Scanner
from cart_firmware.core.touch import touched
from cart_firmware.services.observations import BookIssued, Commanded, Loaded, Observation, Seen, Stepped, Touched
from cart_protocol.basket import Basket, CartEvent, Fault, FaultsChanged, LineAdded
from cart_protocol.ids import CommandId
from cart_protocol.pricing.price_book import Prices

_CODE_LENGTH = 6


class Started(msgspec.Struct, frozen=True):
    """The program began."""


class FaultsFound(msgspec.Struct, frozen=True):
    """What the cart lacks is another than the basket says."""

    faults: tuple[Fault, ...]


class TimePassed(msgspec.Struct, frozen=True):
    """Patience may be over."""


Matter = Observation | Started | FaultsFound | TimePassed
MATTERS: dict[str, type[Matter]] = {kind.__name__: kind for kind in get_args(Matter)}
"""By the names under which a recording keeps them."""


class Mint(Protocol):
    """Where a decision has its ids and codes from (cart_protocol.host.clock.IdMint, or a recording)."""

    def uuid(self) -> str: ...
    def code(self, length: int, /) -> str: ...


class Waiting(msgspec.Struct, frozen=True):
    """An order that waits for the load to come to rest."""

    observed: Commanded
    until_us: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one matter led to, not yet settled."""

    matter: Matter
    at_us: int
    draft: Draft
    evidence: Evidence
    """What remains of it where there is no room to record the events."""
    minted: tuple[str, ...]
    code: str
    waits: Waiting | None = None

    @property
    def events(self) -> list[CartEvent]:
        return self.draft.events


class Decider:
    """Basket, evidence and prices of one cart. Asked one matter at a time, in the order in which they happened."""

    def __init__(
        self,
        basket: Basket,
        evidence: Evidence,
        settings: FusionSettings,
        scanner: Scanner,
        prices: Prices | None = None,
    ) -> None:
        self.basket, self.evidence = basket, evidence
        self.settings = settings
        self.waiting: dict[CommandId, Waiting] = {}
        self.prices: Prices | None = None
        self._scanner = scanner
        if prices is not None:
            self.use(prices)

    def use(self, prices: Prices) -> None:
        """Price from another book from now on, the scanner too."""
        self.prices = prices
        self._scanner.use(prices)

    def decide(self, matter: Matter, at_us: int, mint: Mint) -> Decision:
        """Return what follows from `matter` at `at_us`; nothing is changed."""
        draws = _Draws(mint)
        evidence, waits = msgspec.structs.replace(self.evidence), None
        context = self._context(at_us, draws)
        if isinstance(matter, Stepped):
            # First the evidence, which outlasts a decision that cannot be recorded.
            held = fusion.hold(evidence, self.basket.phase, matter.step)
            draft = Draft(self.basket, evidence)
            fusion.step_seen(draft, held, context)
        else:
            draft = Draft(self.basket, evidence)
            waits = self._consider(draft, matter, context)
        return Decision(
            matter=matter, at_us=at_us, draft=draft, evidence=evidence, minted=tuple(draws.ids), code=context.code,
            waits=waits,
        )  # fmt: skip

    def changes(self, decision: Decision) -> bool:
        """Return whether settling it would leave anything other than it is."""
        waits = decision.waits is not None and decision.waits.observed.command.id not in self.waiting
        return bool(decision.events) or decision.draft.evidence != self.evidence or waits

    def settle(self, decision: Decision, *, recorded: bool = True) -> None:
        """Let a decision take effect, or only what remains where its events could not be recorded."""
        if isinstance(decision.matter, Commanded):
            self._wait(decision.matter, decision.waits)
        if not recorded:
            self.evidence = decision.evidence
            return
        self.basket, self.evidence = decision.draft.basket, decision.draft.evidence
        for event in decision.events:
            if isinstance(event, LineAdded):
                self._scanner.weighed(event.product)

    def choices(self, at_us: int, mint: Mint) -> tuple[Hypothesis, ...]:
        """Return what the shopper may be asked to choose from now."""
        return fusion.choices(Draft(self.basket, self.evidence), self._context(at_us, mint))

    def _consider(self, draft: Draft, matter: Matter, context: Context) -> Waiting | None:
        match matter:
            case Loaded(_, level, variance, quiet):
                fusion.load_reported(draft, level, variance, context, quiet=quiet)
            case Seen(seen):
                fusion.scan_seen(draft, seen, context)
            case Passed():
                fusion.passage_seen(draft, matter, context)
            case Sighted():
                fusion.goods_sighted(draft, matter, context)
            case Touched(_, touch):
                touched(draft, touch, context)
            case Commanded():
                return self._command(draft, matter, context)
            case Started():
                session.started(draft, context)
            case FaultsFound(faults):
                draft.add(FaultsChanged(faults=faults))
            case TimePassed():
                fusion.time_passed(draft, context)
            case Stepped() | BookIssued():
                raise TypeError(f"{type(matter).__name__} is no matter of its own: see decide and use")
            case _:
                assert_never(matter)
        return None

    def _command(self, draft: Draft, observed: Commanded, context: Context) -> Waiting | None:
        command = observed.command
        if observed.until_us is not None and context.now_us > observed.until_us:
            session.refuse(draft, command, "expired")
            return None
        if session.must_wait(draft, command):
            waits = self.waiting.get(command.id) or Waiting(observed, context.now_us + session.FREEZE_WAIT_US)
            if context.now_us < waits.until_us:
                return waits
        session.carry_out(draft, command, context)
        return None

    def _wait(self, observed: Commanded, waits: Waiting | None) -> None:
        if waits is None:
            self.waiting.pop(observed.command.id, None)
        else:
            self.waiting[observed.command.id] = waits

    def _context(self, at_us: int, mint: Mint) -> Context:
        return Context(
            prices=self.prices,
            mint=mint.uuid,
            now_us=at_us,
            code=mint.code(_CODE_LENGTH),
            scan_patience_us=self.settings.scan_patience_us,
            drift_mg=self.settings.drift_mg,
        )


class _Draws:
    """A mint that remembers which ids it gave."""

    def __init__(self, mint: Mint) -> None:
        self.ids = list[str]()
        self._mint = mint

    def uuid(self) -> str:
        self.ids.append(self._mint.uuid())
        return self.ids[-1]

    def code(self, length: int, /) -> str:
        return self._mint.code(length)

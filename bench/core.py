"""A cart's whole pure core, without sensors and services: what scans, steps and touches make of a basket."""

from collections.abc import Callable

from cart_firmware.core import fusion, session
from cart_firmware.core.decision import Context, Draft, Evidence
from cart_firmware.core.hypotheses import Hypothesis
from cart_firmware.core.scanning import Shown
from cart_firmware.core.touch import Touch, touched
from cart_firmware.core.weighing import Step
from cart_protocol.basket import Basket, CartEvent
from cart_protocol.gs1.scan import ScannedCode
from cart_protocol.ids import CommandId, LineId, SessionId
from cart_protocol.messages import BeginSession, Command, ExplainWeight, Freeze, Instruction
from cart_protocol.pricing.price_book import Prices, Product

_SESSION, _CODE = SessionId("trip"), "7K3M9Q"


class Core:
    """A cart in somebody's hands. Time is `now_us`, which its owner moves."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self.basket, self.evidence = Basket(), Evidence()
        self.now_us, self._minted = 0, 0
        self.tell(session.started)
        self._command(BeginSession(session=_SESSION, code=_CODE))

    def scan(self, product: Product) -> list[CartEvent]:
        code = ScannedCode(product=product.id, gtin=None, marked=None, marked_mass=None, text=product.id)
        return self.tell(fusion.scan_seen, Shown(at_us=self.now_us, symbology="]E0", code=code, product=product))

    def step(self, step: Step) -> list[CartEvent]:
        return self.tell(fusion.step_seen, fusion.hold(self.evidence, self.basket.phase, step))

    def touch(self, touch: Touch) -> list[CartEvent]:
        return self.tell(touched, touch)

    def tick(self) -> list[CartEvent]:
        return self.tell(fusion.time_passed)

    def freeze(self) -> list[CartEvent]:
        return self._command(Freeze(session=_SESSION))

    def clear(self) -> list[CartEvent]:
        """Staff say that what is unexplained is all right."""
        return self._command(ExplainWeight(session=_SESSION))

    def choices(self) -> tuple[Hypothesis, ...]:
        return fusion.choices(Draft(self.basket, self.evidence), self._context())

    @property
    def is_open(self) -> bool:
        """Whether the cart asks about something, or calls somebody."""
        return bool(self.basket.unexplained or self.evidence.held or self.basket.attention)

    def line_of(self, product: Product) -> LineId | None:
        return next((line.line for line in reversed(self.basket.lines.values()) if line.product == product.id), None)

    def tell(self, decide: Callable[..., None], *arguments: object) -> list[CartEvent]:
        """Decide, and take over what was decided."""
        draft = Draft(self.basket, self.evidence)
        decide(draft, *arguments, self._context())
        self.basket, self.evidence = draft.basket, draft.evidence
        return draft.events

    def _command(self, instruction: Instruction) -> list[CartEvent]:
        self.evidence.quiet = True
        return self.tell(session.carry_out, Command(id=CommandId(self._mint()), expires_ms=0, instruction=instruction))

    def _context(self) -> Context:
        return Context(prices=self._prices, mint=self._mint, now_us=self.now_us, code=_CODE)

    def _mint(self) -> str:
        self._minted += 1
        return f"id-{self._minted}"

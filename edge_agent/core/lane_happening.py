"""What happens at a lane: an event of its table with everything that belongs to it."""

import msgspec

from cart_protocol.ids import StaffId
from edge_agent.core.exit_check import ExitCheck
from edge_agent.core.lane_admission import Admission, NotAdmitted
from edge_agent.core.lane_sequence import LaneEvent


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something the lane must react to."""

    event: LaneEvent
    code: str = ""
    admission: Admission | None = None
    not_admitted: NotAdmitted | None = None
    check: ExitCheck | None = None
    device: str = ""
    trouble: str = ""
    staff: StaffId | None = None
    alarm: str = ""
    """Key of the incident that staff closed."""
    timer: int = 0
    """Which of the hold timers ended; only the newest counts."""

    @property
    def cause(self) -> str:
        """The console's word for why the lane does not serve after this; empty where it does."""
        match self.event:
            case LaneEvent.ORDER_REFUSED:
                return str(self.not_admitted)
            case LaneEvent.WEIGHT_FAILED if self.check is not None:
                return str(self.check.cause)
            case LaneEvent.TAG_ALARM:
                return "unpaid-goods"
            case LaneEvent.DEVICE_LOST:
                return f"{self.device}: {self.trouble}"
        return ""

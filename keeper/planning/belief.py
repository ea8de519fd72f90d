"""Whether what was read may decide how much an emergency takes off: figures that are some, and prices that agree. Pure."""

from decimal import Decimal

from keeper.domain.errors import StaleData
from keeper.domain.numbers import exact
from keeper.domain.observation import Observation
from keeper.planning.agreement import apart
from keeper.planning.gate import EMERGENCY_SLACK
from keeper.planning.soundness import unsound


@exact
def believed(observation: Observation, max_slippage_bps: Decimal) -> Observation:
    """``observation``. StaleData where a figure is none, or prices agree less than an order in an emergency asks of them."""
    doubts = unsound(observation) or tuple(one.message for one in apart(observation.quotes, max_slippage_bps * EMERGENCY_SLACK))
    if doubts:
        raise StaleData("; ".join(doubts))
    return observation

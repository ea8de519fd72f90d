"""Orders over a line that loses, delays and garbles messages: nothing is sent twice, and nothing is believed that is not so.

`tests/bench/faulty_exchange.py` does the same with hundreds of orders.
"""

from pathlib import Path

from tests.fakes.binance_desk import LOT
from tests.fakes.faulty_desk import traded
from tests.fakes.faulty_server import IN_TIME, TOO_LATE, Line, bad_line, named

ORDERS, DESKS = 40, 5


async def test_no_order_is_sent_twice_and_every_final_state_is_true(tmp_path: Path) -> None:
    done = await traded(tmp_path, 1, ORDERS, DESKS)
    assert sum(one.orders for one in done) >= ORDERS
    assert sum(one.unknowns for one in done) >= ORDERS // 5
    for one in done:
        assert one.verdict is not None
        assert one.verdict.faults == ()
        assert one.gap < LOT
        assert not one.stopped
    states = {state for one in done for state in one.states}
    assert {"filled", "not_placed"} <= states


def test_a_line_strikes_with_every_kind_before_and_after() -> None:
    draw = bad_line("1", Line())
    faults = [fault for fault in (draw("order") for _ in range(500)) if fault is not None]
    assert len(faults) > 100
    both = {f"{kind} {when}" for kind in ("hang", "drop", "truncated", "garbage", "503") for when in ("before", "after")}
    assert {named(fault) for fault in faults} == both | {IN_TIME, TOO_LATE}

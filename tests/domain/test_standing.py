"""How a fund stands: who bound it, and to what."""

import pytest

from keeper.domain.fund import FundState, Standing


@pytest.mark.parametrize(
    ("state", "cause", "flattened"),
    [
        (FundState.ACTIVE, "", False),
        (FundState.REDUCE_ONLY, "", True),
        (FundState.REDUCE_ONLY, "loss", False),
        (FundState.HALTED, "", False),
    ],
)
def test_only_a_human_s_word_binds_a_fund_to_reductions_without_a_cause(state: FundState, cause: str, *, flattened: bool) -> None:
    assert Standing(fund="btc3l", state=state, cause=cause).flattened is flattened

from decimal import Decimal

import pytest

from keeper.domain.account import Valuation
from keeper.policy.mandate import Band, BandGoal, Mandate
from keeper.policy.triggers import Due, NotDue, decide, kept, unmatched
from tests.fakes.markets import BTC, ETH, holding, linear, observe, quote


def mandate(target: str, deadband: str = "0", goal: BandGoal = BandGoal.TARGET) -> Mandate:
    return Mandate(targets={BTC: Decimal(target)}, deadband=Decimal(deadband), goal=goal)


@pytest.mark.parametrize(
    ("rule", "contracts", "goal"),
    [
        pytest.param(mandate("3"), "3", None, id="on the target"),
        pytest.param(mandate("3"), "2.999999", "3", id="a hair off without a band"),
        pytest.param(mandate("3", "0.1"), "2.7", None, id="on the lower edge"),
        pytest.param(mandate("3", "0.1"), "3.3", None, id="on the upper edge"),
        pytest.param(mandate("3", "0.1"), "3.31", "3", id="above the band"),
        pytest.param(mandate("3", "0.1", BandGoal.EDGE), "3.31", "3.3", id="above, to the edge"),
        pytest.param(mandate("3", "0.1", BandGoal.EDGE), "2.5", "2.7", id="below, to the edge"),
        pytest.param(mandate("-3", "0.1", BandGoal.EDGE), "-4", "-3.3", id="a short too far, to the edge"),
        pytest.param(mandate("0", "0.1"), "0.1", None, id="a band around nothing is a fraction of one"),
        pytest.param(mandate("0", "0.1"), "0.11", "0", id="outside the band around nothing"),
    ],
)
def test_bands(rule: Mandate, contracts: str, goal: str | None) -> None:
    worth = observe({"USDT": "100"}, {linear(): quote("100")}, holding(BTC, contracts, "100")).valuation()
    match decide(rule, worth):
        case Due(reason, goals):
            assert goal is not None
            assert goals == {BTC: Decimal(goal)}
            assert BTC in reason
        case NotDue():
            assert goal is None


@pytest.mark.parametrize(
    ("contracts", "goal"),
    [
        pytest.param("2.25", None, id="on the lower edge"),
        pytest.param("4.125", None, id="on the upper edge"),
        pytest.param("2.249", "3", id="below"),
        pytest.param("4.126", "3", id="above"),
    ],
)
def test_a_band_of_leverages_as_gate_has_it(contracts: str, goal: str | None) -> None:
    rule = Mandate(targets={BTC: Decimal(3)}, bands={BTC: Band(Decimal("2.25"), Decimal("4.125"))})
    decision = decide(rule, observe({"USDT": "100"}, {linear(): quote("100")}, holding(BTC, contracts, "100")).valuation())
    assert (decision.goals if isinstance(decision, Due) else None) == (None if goal is None else {BTC: Decimal(goal)})


def test_a_named_band_goes_before_the_deadband_and_shrinks_with_the_target() -> None:
    rule = Mandate(
        targets={BTC: Decimal(3), ETH: Decimal(-2)}, deadband=Decimal("0.1"), bands={BTC: Band(Decimal(2), Decimal(4))}
    )
    assert (rule.band(BTC), rule.band(ETH)) == (Band(Decimal(2), Decimal(4)), Band(Decimal("-2.2"), Decimal("-1.8")))
    assert rule.gross_of_bands == Decimal("6.2")
    assert rule.scaled(Decimal("0.5")).band(BTC) == Band(Decimal(1), Decimal(2))
    assert not rule.scaled(Decimal(0)).band(BTC).has_room
    assert not rule.flat.band(BTC).has_room


def test_only_the_markets_outside_their_bands_get_a_goal() -> None:
    rule = Mandate(targets={BTC: Decimal(1), ETH: Decimal(1)}, deadband=Decimal("0.05"))
    positions = {**holding(BTC, "1", "100"), **holding(ETH, "12", "10")}
    worth = observe({"USDT": "100"}, {linear(): quote("100"), linear(ETH): quote("10")}, positions).valuation()
    decision = decide(rule, worth)
    assert isinstance(decision, Due)
    assert decision.goals == {ETH: Decimal(1)}


@pytest.mark.parametrize(
    ("targets", "emergency"),
    [
        ({BTC: "3"}, "4.0"),
        ({BTC: "5"}, "7.0"),
        ({BTC: "-3"}, "5.0"),
        ({BTC: "1"}, None),
        ({BTC: "0.6"}, None),
        ({BTC: "2", ETH: "-1"}, "5.0"),
    ],
)
def test_the_default_emergency_is_a_third_of_the_way_to_ruin(targets: dict[str, str], emergency: str | None) -> None:
    rule = Mandate(targets={symbol: Decimal(target) for symbol, target in targets.items()})
    assert rule.emergency == (None if emergency is None else Decimal(emergency))


def test_a_flat_mandate_wants_nothing_and_keeps_its_emergency() -> None:
    whole = Mandate(targets={BTC: Decimal(3), ETH: Decimal(-1)}, deadband=Decimal("0.1"), goal=BandGoal.EDGE)
    assert whole.flat == Mandate(targets={BTC: Decimal(0), ETH: Decimal(0)}, emergency_leverage=whole.emergency)
    assert whole.flat.gross_target == 0
    assert whole.flat.emergency == Decimal("6.5")


@pytest.mark.parametrize(
    ("btc", "eth", "legs", "share"),
    [
        ("40", "-1000", {BTC, ETH}, "0.4"),
        ("100", "-700", {BTC, ETH}, "0.7"),
        ("120", "-1100", {BTC, ETH}, "1"),
        ("0", "-1000", {BTC, ETH}, "0"),
        ("-10", "-1000", {BTC, ETH}, "0"),
        ("0", "-700", {ETH}, "0.7"),
        ("0", "0", set(), "1"),
    ],
)
def test_as_much_of_a_hedge_is_kept_as_its_weakest_leg_has_left(btc: str, eth: str, legs: set[str], share: str) -> None:
    held = {symbol: size for symbol, size in ((BTC, btc), (ETH, eth)) if size != "0"}
    positions = {
        symbol: one for symbol, size in held.items() for one in holding(symbol, size, "100" if symbol == BTC else "10").values()
    }
    seen = observe(
        {"USDT": "10000"}, {linear(): quote("100"), linear(ETH): quote("10"), linear("SOL/USDT:USDT"): quote("1")}, positions
    )
    rule = Mandate(targets={BTC: Decimal(1), ETH: Decimal(-1), "SOL/USDT:USDT": Decimal(0)})
    assert kept(rule, seen.valuation(), legs) == Decimal(share)
    assert rule.scaled(Decimal(share)).targets[ETH] == -Decimal(share)
    assert rule.scaled(Decimal(share)).emergency == rule.emergency


def test_what_hedges_more_than_the_leg_that_was_cut_is_named() -> None:
    rule = Mandate(targets={BTC: Decimal("1.5"), ETH: Decimal("-1.5")})
    exposures = {BTC: Decimal(75), ETH: Decimal(-150)}
    worth = Valuation(currency="USDT", nav=Decimal(100), exposures=exposures, foreign=Decimal(0), prices={"USDT": Decimal(1)})
    assert unmatched(rule, worth, {BTC, ETH}) == f"{ETH} has 1.0000 of its target, and the leg that the venue cut 0.5000"
    assert unmatched(rule, worth, {BTC}) == ""

"""How wide a band is worth while: the no-trade region around a target multiple, from cost, volatility and an aversion. Pure.

Trading only at the band's edges, at L - h and L + h, costs and strays, where c is the cost of a trade per notional, s the
standard deviation of what leverage drifts by in a day and v that of the day's return, s = v |L (L - 1)|, and g the aversion:

    minimise  c s^2 / (2 h) + g/2 v^2 h^2 / 3   in h, so that  h^3 = w^3 = 3/2 c L^2 (L - 1)^2 / g

which is the asymptotic region of Guasoni and Mayerhofer, "Leveraged funds: robust replication and performance evaluation"
(Quantitative Finance 2023), and for investors of Gerhold, Guasoni, Muhle-Karbe and Schachermayer (2014), who write 3/4 e / g
for it, since their spread e is paid on a round trip, 2 c. Volatility is not in it: both costs grow with v^2.

That is for one who looks all the time. Looked at once a day, leverage passes the edges by k = 0.5826 s on average (Siegmund
1985; Broadie, Glasserman and Kou 1997), as if they were that much wider: cost c s^2 / (2 (h + k)), and variance of what is
left uncorrected h^2 (h / 3 + k) / (h + k) with leverage uniform between the wider edges and put back to the nearer ones. Then

    (h + k)^3 = w^3 + k^3

is best: with more volatility the day's own drift does more of what a band is for, and less band is wanted.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from keeper.domain.market import Market
from keeper.domain.numbers import BPS, ONE, ZERO, exact, plain, rounded
from keeper.domain.observation import Observation, Quote
from keeper.policy.mandate import Band, Mandate

OVERSHOOT = Decimal("0.5826")
"""-zeta(1/2) / sqrt(2 pi): by how many standard deviations of a step a random walk passes a boundary on average."""
DAYS = Decimal(365)
_THIRD = ONE / Decimal(3)
_PLACES = 8
_NARROWEST = Decimal("0.5")
"""The nearer edge is no closer to zero than this part of the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A no-trade region.

    half_width: multiple of NAV; tracking_error: standard deviation of a year's difference from the multiple that is due to it,
    and cost: of NAV in a year, both fractions, as long as nothing else is traded.
    """

    half_width: Decimal
    tracking_error: Decimal
    cost: Decimal


@exact
def region(target: Decimal, cost: Decimal, volatility: Decimal, aversion: Decimal, *, room: Decimal | None = None) -> Region:
    """The best region around ``target`` (multiple of NAV), looked at once a day.

    cost: of a trade, fraction of its notional; volatility: standard deviation of a day's return, fraction; aversion: weight of
    half the variance of the tracking difference against cost, above 0; room: how wide a half may be at the most.
    """
    drift = volatility * abs(target * (target - ONE))
    overshoot = OVERSHOOT * drift
    cubed = Decimal("1.5") * cost * (target * (target - ONE)) ** 2 / aversion
    best = rounded((cubed + overshoot**3) ** _THIRD - overshoot, _PLACES)
    half = best if room is None else min(best, max(ZERO, room))
    passed = half + overshoot
    if not passed:
        return Region(half_width=half, tracking_error=ZERO, cost=ZERO)
    variance = half**2 * (half / 3 + overshoot) / passed
    return Region(
        half_width=half,
        tracking_error=volatility * (DAYS * variance).sqrt(),
        cost=DAYS * cost * drift**2 / (2 * passed),
    )


@exact
def resolved(mandate: Mandate, observation: Observation) -> tuple[Mandate, tuple[str, ...]]:
    """``mandate`` with the bands that it wants to have worked out, and in words how each came to be.

    Where the venue tells no volatility there is none: then every gap is traded.
    """
    if mandate.aversion is None:
        return mandate, ()
    bands, notes = dict(mandate.bands), []
    for symbol, target in mandate.targets.items():
        stats = observation.stats.get(symbol)
        if stats is None or not (stats.volatility.is_finite() and stats.volatility > 0):
            notes.append(f"{symbol} has no band: the venue tells no volatility to work one out")
            continue
        cost = _cost(observation.markets[symbol], observation.quotes[symbol])
        found = region(target, cost, stats.volatility, mandate.aversion, room=_room(mandate, target))
        half = found.half_width
        bands[symbol] = Band(target - half, target + half)
        why = f"a trade costs {plain(rounded(cost * BPS, 2))} bps, a day's volatility is {stats.volatility:.2%}"
        notes.append(
            f"{symbol} is left alone from {target - half:.3f}x to {target + half:.3f}x: {why}, bands.aversion is"
            f" {plain(mandate.aversion)}; on average {found.cost:.2%} of NAV a year at a tracking error of"
            f" {found.tracking_error:.2%} (Guasoni and Mayerhofer, looked at once a day)"
        )
    return replace(mandate, bands=bands), tuple(notes)


def _cost(market: Market, quote: Quote) -> Decimal:
    """What a small trade costs, fraction of its notional: taker fee and half the spread, which is all that is proportional."""
    spread = ZERO if quote.book.faults() else quote.book.half_spread / quote.book.mid
    return max(ZERO, market.taker + spread)


def _room(mandate: Mandate, target: Decimal) -> Decimal:
    """How wide half of a band around ``target`` may be: not near zero, and not into what counts as an emergency."""
    room = _NARROWEST * abs(target)
    return room if mandate.emergency is None else min(room, mandate.emergency - mandate.gross_target)

"""Recordings that a configuration names: opened, judged by what their funds ask of them, and what follows when they end.

Reads files and writes none. What a recording holds is the feeds' business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from keeper.domain.errors import ConfigError, Problem
from keeper.ports import Venue
from keeper.settings.feeds import RecordedFeed
from keeper.settings.keys import Path, dotted
from keeper.settings.sources import Settings
from keeper.settings.values import duration_text

if TYPE_CHECKING:
    from keeper.venues.feeds import recorded

OVER = "the recording is over"
log = structlog.get_logger()


@dataclass(slots=True)
class Replay:
    """One fund's way through the recording of its venue, or through none.

    ended: what to call with OVER when a later connection finds too little left; None for who connects once.
    """

    settings: Settings
    fund: str
    ended: Callable[[str], None] | None = None
    played: bool = False

    def judge(self, venue: Venue) -> None:
        """Look at what is left, at each connection. ConfigError when it was too little from the first on."""
        lack = too_short(self.settings, self.fund, venue)
        if lack is None:
            self.played = True
        elif self.ended is None or not self.played:
            raise ConfigError(lack)
        else:
            log.info("recording.over", message=OVER, at=venue.clock.now().isoformat(timespec="seconds"))
            self.ended(OVER)


def opened(settings: Settings, name: str, feed: RecordedFeed) -> "recorded.RecordedFeed":
    """The recordings of venue ``name``. ConfigError for each that can't be played."""
    from keeper.venues.feeds import bars, order_books, recorded, recording
    from keeper.venues.feeds.market_spec import MarketSpec

    specs = {symbol: MarketSpec(**dict(rules)) for symbol, rules in feed.markets.items()}
    window = recording.Window(start=feed.start, end=feed.end)
    played: dict[str, recording.Recording] = {}
    problems = []
    for symbol, files in feed.files.items():
        market, path = specs.get(symbol, MarketSpec()).market(symbol), settings.anchored(files.path)
        try:
            if files.name is None:
                played[symbol] = bars.BarRecording(path, market, window=window, seed=feed.seed, spread_bps=feed.spread_bps)
            else:
                played[symbol] = order_books.BookRecording(path, files.name, market, window=window)
        except recording.BadRecording as error:
            problems.append(_problem(settings, ("venues", name, "feed", "files", symbol), str(error.path), error.why))
    if problems:
        raise ConfigError(*problems)
    try:
        return recorded.RecordedFeed(played, speed=None if feed.speed is None else float(feed.speed), specs=specs)
    except ValueError as error:
        raise ConfigError(_problem(settings, ("venues", name, "feed", "files"), ", ".join(played), str(error))) from None


def too_short(settings: Settings, name: str, venue: Venue) -> Problem | None:
    """What is wrong when fund ``name`` could not end a run on what is left of its venue's recording; None on other venues."""
    from keeper.venues.feeds.recorded import RecordedFeed as RecordedMarket
    from keeper.venues.paper.venue import PaperVenue

    feed = venue.feed if isinstance(venue, PaperVenue) else None
    horizon = settings.funds[name].execution.horizon
    if not isinstance(feed, RecordedMarket) or horizon <= feed.left:
        return None
    left = max(feed.left.total_seconds(), 0)
    remedy = (
        f"{left:.0f} s are left of the recording, from the account's {feed.clock.now():%Y-%m-%d %H:%M:%S} UTC on:"
        f" set a shorter horizon or an earlier feed.start, or move the account's file (paper-{venue.info.name}.json) away;"
        " and use a journal of its own: its runs and turnover of the earlier replay count"
    )
    return _problem(settings, ("funds", name, "execution", "horizon"), duration_text(horizon), remedy)


def timeless(settings: Settings, name: str) -> Problem | None:
    """What is wrong when the days of venue ``name`` take no time, so that nobody can wait for a slot."""
    feed = settings.venues[name].feed
    if not isinstance(feed, RecordedFeed) or feed.speed is not None:
        return None
    remedy = "set how many of its seconds pass in one of ours: time that takes no time has no days to wait for"
    return _problem(settings, ("venues", name, "feed", "speed"), "(unset)", remedy)


def _problem(settings: Settings, path: Path, value: str, remedy: str) -> Problem:
    return Problem(settings.source(path), dotted(path), value, remedy)

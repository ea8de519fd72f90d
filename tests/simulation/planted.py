"""Bugs that the simulation must catch, planted one at a time into the source of the module where each would be made.

A bug is text put in place of other text, which must occur exactly once. It is planted as the module is imported, so nothing of
Keeper may be imported before: `python -m tests.simulation.hunt NAME` does so in a process of its own.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """In ``module``, ``new`` in place of ``old``."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One bug.

    changes: its texts; scenario: what its worlds are like apart from their seeds; faults: order faults and how likely each is, on
    top of those drawn; shows: what its violations say, where its worlds are no sound ones without it; seeds: among which one
    catches it.
    """

    changes: Sequence[Change]
    scenario: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, float] = field(default_factory=dict)
    shows: str = ""
    seeds: int = 100


SENDER, CONFIRM = "keeper.service.sender", "keeper.service.sender"
WIRE = "tests.simulation.wire"
PLACE = "        outcome = await self._venue.place(child.request)\n"
UNKNOWN = "                return await self._ended(child, ChildState.UNKNOWN, why)\n"
SPOT_ALWAYS = "    spot = kind is MarketKind.SPOT\n"

BUGS: Mapping[str, Bug] = {
    "order sent before the intent": Bug(
        changes=[
            Change(
                SENDER,
                "*(self._journal.record_intent(child) for child in children if child is not None), return_exceptions=True",
                "*(asyncio.sleep(0) for child in children if child is not None), return_exceptions=True",
            ),
            Change(SENDER, PLACE, f"{PLACE}        await self._journal.record_intent(child)\n"),
        ],
    ),
    "retry with a new id": Bug(
        changes=[
            Change(
                SENDER,
                UNKNOWN,
                "                await self._ended(child, ChildState.NOT_PLACED, why)\n"
                "                name = child.request.client_id[:-3] + f'{child.sequence % 1000:03}'\n"
                "                child = replace(child, sequence=child.sequence + 1000)\n"
                "                child = replace(child, request=replace(child.request, client_id=name))\n"
                "                await self._journal.record_intent(child)\n"
                "                return await self._sent(run, child, None)\n",
            )
        ],
    ),
    "retry with the same id": Bug(
        changes=[Change(SENDER, PLACE, PLACE + "        if isinstance(outcome, Unknown):\n    " + PLACE)],
    ),
    "cancel taken to mean no more fills": Bug(
        changes=[
            Change(CONFIRM, "(report.state is ChildState.FILLED or asked)", "(report.filled or asked)"),
            Change(
                "keeper.service.positions",
                "if child is None or child.state is not ChildState.CANCELED or not order.filled > child.filled:",
                "if child is not None:",
            ),
        ],
        faults={"fill_after_cancel": 0.3},
    ),
    "one not-found taken as final": Bug(
        changes=[
            Change("keeper.execution.recovery", "if len(late) > 1 and late[-1] - late[0] >= read_lag:", "if lookups:"),
        ],
        faults={"late": 0.3},
    ),
    "last price trusted": Bug(
        changes=[
            Change(
                "keeper.planning.agreement",
                "    for symbol, quote in quotes.items():\n",
                "    for symbol, quote in ():\n",
            ),
        ],
        scenario={"spikes": 0.15},
    ),
    "no recovery at start": Bug(
        changes=[
            Change(
                "keeper.service.rebalancer",
                "unsettled = await recover(self._venue, self._journal, self.fund.name, self._positions.agrees, self._guard.trip)",
                "unsettled = await self._journal.open_children(self.fund.name)",
            )
        ],
    ),
    "ExchangeError taken as a rejection": Bug(
        changes=[
            Change(
                "keeper.venues.verdicts",
                "        return Unknown(_what_happened(flight, error))\n    code, said = coded",
                "        return Rejected('error', _what_happened(flight, error))\n    code, said = coded",
            )
        ],
        faults={"error_after": 0.2},
    ),
    "no settled position": Bug(
        changes=[
            Change(
                "keeper.service.settle",
                "    before = holdings(await observer.observe())\n",
                "    return await observer.observe()\n    before = holdings(await observer.observe())\n",
            )
        ],
        scenario={"lag": 0.45},
    ),
    "no lease": Bug(changes=[], scenario={"locked": False, "daemons": 2}),
    "transport resends": Bug(
        changes=[
            Change(
                WIRE,
                "        status, body = await reply\n        if status == 0:\n",
                "        status, body = await reply\n        if status == 0:\n            reply = self._loop.create_future()\n"
                "            self._depart(asked, None, reply)\n            status, body = await reply\n        if status == 0:\n",
            )
        ],
        faults={"lost_reply": 0.2},
    ),
    "kill switch not checked per child": Bug(
        changes=[
            Change("keeper.planning.gate", "    if situation.standing.halted:\n", "    if not situation:\n"),
            Change("keeper.journal.children", "    if standing is not None and (", "    if standing is None and ("),
        ],
        scenario={"nudged": False, "halts": 0.3},
    ),
    "duplicate id taken as a rejection": Bug(
        changes=[
            Change(
                "keeper.venues.verdicts",
                '        return Unknown(f"{code}: the venue has an order of this client id already ({said or code})")',
                '        return Rejected(code, f"the venue has an order of this client id already ({said or code})")',
            )
        ],
        faults={"lie": 0.3},
    ),
    "unpinned deadline": Bug(
        changes=[
            Change(WIRE, "window=min(left, timedelta(milliseconds=LONGEST_WINDOW)),", "window=timedelta(hours=1),"),
            Change(WIRE, "self._rng.uniform(0.3, 8.0)", "self._rng.uniform(0.3, 30.0)"),
        ],
        faults={"late": 0.3},
    ),
    "unguarded transition": Bug(
        changes=[
            Change(
                "keeper.journal.children",
                'children.c.client_id == bindparam("of_child"), children.c.state == bindparam("expected"))',
                'children.c.client_id == bindparam("of_child"), or_(children.c.state == bindparam("expected"), True))',
            )
        ],
        scenario={"locked": False, "daemons": 2},
        shows="went from",
    ),
    "transfer explains a stale spot read": Bug(
        changes=[
            Change(
                "keeper.policy.breakers", "    spot = kind is MarketKind.SPOT and not (own_fills and hides_fills)\n", SPOT_ALWAYS
            ),
        ],
        scenario={"coins": 1.0, "happenings": {"standstill": 2, "rebalance": 2}, "ambush": 0.6},
        shows="bought up to",
    ),
    "own fills not counted for what should be held": Bug(
        changes=[
            Change(
                "keeper.service.positions",
                "        own = net_change(fills := await self._fills(), market, markets)\n",
                "        own = net_change(fills := (), market, markets)\n",
            )
        ],
        shows="for what can be explained",
    ),
    "an order that rested counts whole": Bug(
        changes=[
            Change(
                "keeper.service.positions",
                "            if order.at >= since:\n",
                "            if order.filled:\n",
            )
        ],
        scenario={"happenings": {"resting": 4, "rebalance": 2}},
        shows="for what can be explained",
    ),
    "orders placed before a settle forgotten": Bug(
        changes=[
            Change(
                "keeper.service.positions",
                "order.client_id in known or not order.filled or order.changed_at < since:",
                "order.client_id in known or not order.filled or order.at < since:",
            )
        ],
        scenario={"happenings": {"resting": 2}},
        shows="for what can be explained",
    ),
    "a journal put back goes unnoticed": Bug(
        changes=[
            Change(
                "keeper.service.identity",
                "        missing = await positions.unrecorded()\n",
                "        missing = ()\n",
            )
        ],
        scenario={"happenings": {"restore": 2}},
        shows="was sent while the journal lacks",
    ),
    "kill asks for nothing that is on its way": Bug(
        changes=[Change("keeper.service.killing", "        for child in open_children:\n", "        for child in ():\n")],
        scenario={"happenings": {"cancel_all": 2}, "ambush": 0.3},
        faults={"late": 0.3},
        shows="said to be on its way",
    ),
    "an emergency that goes to nothing": Bug(
        changes=[
            Change(
                "keeper.policy.emergency", "share = min(ONE, room / total) if total else ONE", "share = ZERO if total else ONE"
            )
        ],
        scenario={"happenings": {"crash": 2}},
        shows="I4",
    ),
    "flatten to the mandate": Bug(
        changes=[
            Change(
                "keeper.service.keeping",
                "made.flat() if trigger.startswith(FLATTEN) else made",
                "made",
            )
        ],
        scenario={"happenings": {"flatten": 1, "adl": 0, "deposit": 0, "standstill": 0}},
        shows="after the fund was flattened",
    ),
}


class Unplantable(Exception):
    """The text that a bug takes the place of is not there, or is there more than once: the bug must be written anew."""


def plant(name: str) -> Bug:
    """Have the bug in every module that is imported from here on."""
    bug = BUGS[name]
    texts: dict[str, list[Change]] = {}
    for change in bug.changes:
        if change.module in sys.modules:
            message = f"{change.module} was imported before {name!r} could be planted"
            raise Unplantable(message)
        texts.setdefault(change.module, []).append(change)
    sys.meta_path.insert(0, _Planter(texts))
    return bug


class _Planter(MetaPathFinder):
    def __init__(self, texts: Mapping[str, Sequence[Change]]) -> None:
        self._texts = texts

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in self._texts:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            message = f"{fullname} has no source"
            raise Unplantable(message)
        spec.loader = _Planted(spec.loader, self._texts[fullname])
        return spec


class _Planted(Loader):
    def __init__(self, inner: SourceFileLoader, changes: Sequence[Change]) -> None:
        self._inner = inner
        self._changes = changes

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        source = self._inner.get_data(self._inner.path).decode()
        for change in self._changes:
            source = changed(source, change)
        exec(compile(source, self._inner.path, "exec"), module.__dict__)  # noqa: S102 - that is how a module comes to be


def changed(source: str, change: Change) -> str:
    """``source`` with the change. Unplantable where its text does not occur exactly once."""
    if source.count(change.old) != 1:
        message = f"{change.module} holds {source.count(change.old)} times: {change.old!r}"
        raise Unplantable(message)
    return source.replace(change.old, change.new)

"""What operators asked of one fund, in the order in which it is dealt with; what one run can do is asked of one run.

    emergency > what was cut and goes on > flattening > asked for > slot > between slots

Whatever comes while a run works, or is due together with something else, is served by one run: that of the slot where one is
due, else that of who asked first; what the fund wanted between its slots is done by either. The run's plan names them all.
"""

from collections import deque
from collections.abc import Sequence

from keeper.domain.errors import InvariantViolation, KeeperError
from keeper.domain.run import Command, CommandKind, Run, RunStatus
from keeper.planning.written import Unusable, WrittenPlan, from_document

REFUSED, BUSY = 3, 75
WORK = (CommandKind.REBALANCE, CommandKind.FLATTEN)
CUTTING = {CommandKind.HALT: "halted", CommandKind.FLATTEN: "to be flattened"}
"""Commands that don't wait for the run in work."""
DONE = {RunStatus.COMPLETED: 0, RunStatus.NOTHING_DUE: 0, RunStatus.REFUSED: 3, RunStatus.INCOMPLETE: 4}
"""What whoever asked ends with, by how the run ended that served them."""


def is_plain(command: Command) -> bool:
    """Whether ``command`` asks for the target and nothing else, as any other run would bring it about."""
    return command.kind is CommandKind.REBALANCE and command.plan is None


def outcome(run: Run | None, command: Command) -> tuple[int | None, str]:
    """The exit code and the words that whoever asked ends with; neither where the run is their own, whose row tells."""
    if run is None:
        return BUSY, "it was stopped before it began"
    if run.key.trigger == command.trigger:
        return None, ""
    words = f"run {run.id} did it together with what else was due, and is {run.status}: `keeper runs show {run.id}`"
    return DONE[run.status], words


def failure(command: Command, error: KeeperError) -> str:
    """What whoever asked is told where ``error`` came in the way."""
    goes_on = command.kind is CommandKind.FLATTEN and not isinstance(error, InvariantViolation)
    return f"{error}; the daemon flattens as soon as it can" if goes_on else str(error)


def undone(command: Command, why: str) -> str:
    """What whoever asked is told where the daemon stops before it was done. why: empty where an error ends it."""
    then = "the next one does it" if command.kind is CommandKind.FLATTEN else "ask again"
    return f"the daemon stopped before this was done ({why or 'an error'}): {then}"


def unfitness(command: Command, rules: str) -> tuple[int, str] | None:
    """Why ``command`` can't be done by who keeps the fund under ``rules``, with an exit code; None where it can."""
    # zero is zero under every configuration
    if command.kind is not CommandKind.FLATTEN and command.rules not in ("", rules):
        why = "the daemon keeps this fund by another configuration than you asked under: restart `keeper run`, then ask again"
        return BUSY, why
    try:
        written_in(command)
    except Unusable as error:
        return REFUSED, f"the written plan can't be used: {error}"
    return None


def written_in(command: Command) -> WrittenPlan | None:
    """The written plan that ``command`` is to carry out, None where it is none. Unusable where it can't be read."""
    return None if command.plan is None else from_document(command.plan)


class Asked:
    """The requests of one fund that this process took. in_hand: those that are being dealt with, together."""

    def __init__(self) -> None:
        self._waiting: deque[Command] = deque()
        self.in_hand: tuple[Command, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def left(self) -> tuple[Command, ...]:
        """All that is not done yet."""
        return (*self.in_hand, *self._waiting)

    def add(self, command: Command) -> None:
        """Deal with ``command`` in its turn; a brake goes first."""
        if command.kind is CommandKind.FLATTEN:
            self._waiting.appendleft(command)
        else:
            self._waiting.append(command)

    def take(self) -> tuple[Command, ...]:
        """The next request, with those behind it that the same run serves: as long as nothing else was asked in between."""
        first = self._waiting.popleft()
        together = [first]
        while is_plain(first) and self._waiting and is_plain(self._waiting[0]) and self._waiting[0].rules == first.rules:
            together.append(self._waiting.popleft())
        self.in_hand = tuple(together)
        return self.in_hand

    def done(self) -> None:
        """What was in hand is dealt with."""
        self.in_hand = ()


def triggers_of(commands: Sequence[Command]) -> tuple[str, ...]:
    """What each of ``commands`` would have a run of its own triggered by."""
    return tuple(command.trigger for command in commands)

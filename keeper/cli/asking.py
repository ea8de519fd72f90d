"""Waits for what a daemon makes of a request. It trades nothing: the process that holds the account does."""

from datetime import timedelta
from typing import TYPE_CHECKING

from keeper.domain.errors import AccountBusy, InvariantViolation

if TYPE_CHECKING:
    from rich.console import Console

    from keeper.bootstrap import Desk
    from keeper.domain.run import Command
    from keeper.settings.sources import Settings

LOOK_EVERY = timedelta(seconds=0.25)
PATIENCE = timedelta(seconds=5)
"""A daemon takes a command within a second or two, whatever it does; other holders of an account never do."""


async def followed(settings: "Settings", desk: "Desk", command_id: str, busy: AccountBusy, screen: "Console") -> "Command":
    """The command once it was dealt with. AccountBusy when nobody takes it, or whoever took it is gone."""
    from keeper.journal.database import directory_of
    from keeper.journal.lock import is_held
    from keeper.system import SystemClock

    clock = SystemClock()
    asked_at = clock.now()
    shown = False
    while True:
        held = is_held(directory_of(settings.journal_url), desk.venue.info.account)
        command = await desk.journal.find_command(command_id)
        if command is None:
            raise InvariantViolation(f"command {command_id} is gone from the journal")
        if command.ended_at is not None:
            return command
        if command.taken_at is None and (not held or clock.now() - asked_at > PATIENCE):
            # whoever takes it decides: once we have it nobody else can
            if await desk.journal.take_command(command_id, clock.now()):
                await desk.journal.end_command(command_id, at=clock.now(), exit_code=busy.exit_code, answer="withdrawn")
                raise busy
        elif command.taken_at is not None and not held:
            raise AccountBusy(f"the process that took {command_id} is gone: see `keeper status`, then ask again")
        if command.taken_at is not None and not shown:
            screen.print("The daemon that holds the account has taken this; waiting for its run.", soft_wrap=True)
            shown = True
        await clock.sleep_until(clock.now() + LOOK_EVERY)

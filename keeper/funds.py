"""Funds as a configuration names them: their rules, and who names their targets."""

from keeper.ports import Clock, TargetSource
from keeper.service.fund import Fund
from keeper.settings.sources import Settings
from keeper.targets import CommandSource, FileSource


def fund_of(settings: Settings, name: str) -> Fund:
    """The rules of fund ``name``."""
    configured = settings.funds[name]
    return Fund(
        name=name,
        mandate=configured.mandate(),
        limits=configured.limits_value(),
        pacing=configured.pacing(),
        breakers=configured.breakers_value(),
        rules=settings.rules_of(name),
        emergency=configured.emergency_value(),
        intraday=configured.intraday.value(),
        steering=configured.steering_value(),
        resident_guard=configured.emergency.resident_guard if configured.emergency else None,
    )


def source_of(settings: Settings, name: str, clock: Clock) -> TargetSource | None:
    """Who names the targets of fund ``name``; None where the configuration alone does."""
    told = settings.funds[name].target_from
    if told.file is not None:
        return FileSource(settings.anchored(told.file))
    if told.command is None:
        return None
    return CommandSource(told.command, directory=settings.anchored("."), clock=clock, timeout=told.timeout)

"""Slots of a schedule, one by one."""

from datetime import date

from keeper.domain.run import Slot
from keeper.policy.schedule import Occurrence, Schedule, occurrences, slots_on


def slot_of(schedule: Schedule, day: date) -> Slot:
    """The first slot of local date ``day``."""
    return slots_on(schedule, day)[0]


def occurrence_of(schedule: Schedule, day: date) -> Occurrence:
    """The same, as it comes."""
    return next(occurrences(schedule, day))

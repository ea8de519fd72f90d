"""What the service needs from the world, as protocols. Adapters live in venues/, journal/, system.py and targets.py.

Nothing here imports an adapter, and nothing in service/ knows one.
"""

from keeper.ports.journal import ChainFault, Journal
from keeper.ports.process import Bell, Clock, Entropy, Supervisor
from keeper.ports.steering import TargetSource, Told, Untold
from keeper.ports.venue import Environment, MarketData, Venue, VenueInfo

__all__ = [
    "Bell",
    "ChainFault",
    "Clock",
    "Entropy",
    "Environment",
    "Journal",
    "MarketData",
    "Supervisor",
    "TargetSource",
    "Told",
    "Untold",
    "Venue",
    "VenueInfo",
]

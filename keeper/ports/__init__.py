"""What the service needs from the world, as protocols. Adapters live in venues/, journal/ and system.py.

Nothing here imports an adapter, and nothing in service/ knows one.
"""

from keeper.ports.journal import ChainFault, Journal
from keeper.ports.process import Bell, Clock, Entropy, Supervisor
from keeper.ports.venue import Environment, MarketData, Venue, VenueInfo

__all__ = ["Bell", "ChainFault", "Clock", "Entropy", "Environment", "Journal", "MarketData", "Supervisor", "Venue", "VenueInfo"]

"""What a venue's own ledger tells of an account: postings, each a movement of one asset that no price and no trade of ours made.

Profit that a venue books as it is realised is none: prices made it, and equity had it before.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class PostingKind(StrEnum):
    """What a posting is for. OTHER: a bonus, a rebate, an insurance payment: whatever the venue charges or credits beside."""

    FUNDING = "funding"
    TRADING_FEE = "trading_fee"
    BORROW_INTEREST = "borrow_interest"
    NETWORK_FEE = "network_fee"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    OTHER = "other"

    @property
    def is_flow(self) -> bool:
        """Whether it is money that came from outside the account or went there."""
        return self in (PostingKind.DEPOSIT, PostingKind.WITHDRAWAL, PostingKind.TRANSFER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One movement. id: the venue's, unique in the account; at: aware UTC; amount: units of ``asset``, above 0 where they came.

    symbol: the market that it is about, empty where it is about none.
    """

    id: str
    kind: PostingKind
    at: datetime
    asset: str
    amount: Decimal
    symbol: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """A posting as the journal keeps it.

    account: fingerprint; value: units of the fund's ``currency`` at the marks of the booking, None where nothing priced its
    asset; entry: id of the entry of the fund's books that it belongs to, empty where it belongs to none.
    """

    posting: Posting
    account: str
    fund: str
    currency: str
    value: Decimal | None
    entry: str = ""

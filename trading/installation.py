"""What an agent is made of before it lives: who it is, how it is set, what it stands on."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from trading.bus import Bus
from trading.decide import DecisionSettings
from trading.domain.errors import Refused, Retryable, SettingsInvalid, Unreachable
from trading.domain.events import Installed
from trading.domain.instrument import Instrument, coins_of, refuse_unknown_coins
from trading.ports.clock import Clock
from trading.ports.exchange import ExchangeGateway
from trading.ports.on_the_way import OnTheWay, UnmarkedWay
from trading.ports.storage import Journal, Records
from trading.right_of_way import RightOfWay
from trading.risk.limits import RiskLimits

_FEE_SHARE = Decimal("0.001")
_UNKNOWN_THERE = 404


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this installation is; fixed by the first start of a database."""

    install_id: str
    order_prefix: str

    def installed(self, account: str, now: datetime) -> Installed:
        """Return the first fact of a database: from now on it serves this account alone."""
        return Installed(self.install_id, self.order_prefix, account, now)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the agent must know beside its parts.

    `exchange_address` is the root of a server that is asked in the place of the exchange's own.
    """

    mode: str
    exchange: str
    currency: str
    version: str
    limits: RiskLimits
    decisions: DecisionSettings
    # Which program this is beyond its version, and how it is set (`ProcessStarted`).
    build: str = ""
    configured: tuple[str, ...] = ()
    fee: Decimal = _FEE_SHARE
    accepts_unrestricted_key: bool = False
    exchange_address: str = ""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that the agent talks to.

    `claim_account` takes the account's id for this process, or raises InstanceConflict;
    `unrecorded` marks sales that leave without a record.
    """

    gateway: ExchangeGateway
    journal: Journal
    records: Records
    clock: Clock
    bus: Bus
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    way: RightOfWay = field(default_factory=RightOfWay)
    claim_account: Callable[[str], None] = lambda _: None
    unrecorded: OnTheWay = field(default_factory=UnmarkedWay)


def asked_in_vain(settings: AgentSettings, error: Retryable) -> str:
    """Say whom a start asks that gets no usable answer, and what to check.

    It goes on asking: what a server says that stands before an exchange is no word of it.
    """
    address = settings.exchange_address
    where = f"{settings.exchange} at {address}" if address else settings.exchange
    if not isinstance(error, Unreachable):
        return f"Asked is {where}: {error.words}"
    names = ["UMBRA_EXCHANGE_ID", *(["UMBRA_EXCHANGE_REST_URL"] if address else [])]
    if error.status == _UNKNOWN_THERE:
        return (
            f"What answers for {where} does not know what is asked (404): it may be another "
            f"exchange. Check {' and '.join(names)}"
        )
    return f"Asked is {where}. Check {', '.join(names)} and this machine's network"


def refuse_unknown_currency(currency: str, instruments: Mapping[str, Instrument]) -> None:
    """Raise SettingsInvalid when the exchange has no market of the currency of all valuations."""
    name = "UMBRA_CURRENCY"
    try:
        refuse_unknown_coins((currency,), coins_of(instruments.values()), name)
    except Refused as error:
        raise SettingsInvalid(f"{error}. Example: {name}={error.example or 'USDT'}") from None


def refuse_other_account(installed: Installed, account: str) -> None:
    """Raise SettingsInvalid when the key is of another account than the database."""
    if installed.account != account:
        raise SettingsInvalid(
            f"this database belongs to account {installed.account} and the key to "
            f"{account}: set UMBRA_DATABASE_URL or UMBRA_DATA_DIR to another place, "
            "for example UMBRA_DATA_DIR=~/.umbra-second"
        )


def order_prefix(install_id: str) -> str:
    """Return the two characters that every order of this installation begins with."""
    digest = hashlib.sha256(install_id.encode()).digest()
    return base64.b32encode(digest).decode()[:2].lower()

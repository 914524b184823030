"""The account that orders touch: the key's own on the exchange, or one that is simulated here."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from socket import inet_aton, inet_ntoa
from urllib.parse import urlsplit

from bot.config import Settings
from bot.shares import gateway_settings
from bot.silence import SilenceFile
from storage.lease import AccountLock
from storage.store import Store
from trading.domain.errors import Refused, SettingsInvalid
from trading.domain.instrument import coins_of, refuse_unknown_coins
from trading.gateway.connect import create_gateway
from trading.gateway.paper import PaperGateway
from trading.loopback import is_loopback
from trading.poison import InHand
from trading.ports.clock import Clock
from trading.ports.exchange import ExchangeGateway
from trading.right_of_way import RightOfWay
from trading.sim.account import BALANCES_EXAMPLE, parse_balances

_PAPER_FILLS_MAX = 1_000_000
_PORTS = {"http": 80, "https": 443}
# Doors of the same house.
_BINANCE = {f"api{door}.binance.com" for door in ("", "1", "2", "3", "4", "-gcp")}


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Account:
    """A gateway to it; its streams give triggers the `way`, and `restore` runs once, before.

    `claim` takes the account of an id for this process, or raises InstanceConflict.
    """

    gateway: ExchangeGateway
    restore: Callable[[], Awaitable[None]] = _nothing
    way: RightOfWay = field(default_factory=RightOfWay)
    claim: Callable[[str], None] = lambda _: None


def account_of(
    settings: Settings, store: Store, clock: Clock, in_hand: InHand, lock: AccountLock | None
) -> Account:
    """Return the account of the mode, which `lock` keeps for this process unless it is simulated.

    Raises SettingsInvalid for paper balances that cannot be.
    """
    way = RightOfWay()
    place = exchange_place(settings.exchange_id, settings.exchange_rest_url)
    silences = SilenceFile(settings.directory, place)
    gateway = create_gateway(gateway_settings(settings), clock, in_hand, way, silences)
    if lock is not None:
        return Account(gateway, way=way, claim=lock.claim)
    with _named():
        balances = parse_balances(settings.paper_balance)
    # Over the live prices of an exchange, for which its key is not needed.
    paper = PaperGateway(gateway, clock, balances)

    async def restore() -> None:
        # A paper account lives in the journal alone: its fills are its history. What rested is
        # opened again by the agent's own connect.
        await paper.connect()
        instruments = await paper.instruments()
        with _named():
            refuse_unknown_coins(balances, coins_of(instruments.values()), "balance")
        stored = await store.records.state()
        fills = await store.records.fills(limit=_PAPER_FILLS_MAX)
        paper.restore(fills, instruments, stored.attempts)

    return Account(paper, restore, way)


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Tell what is wrong with the paper account by the name of its setting."""
    try:
        yield
    except Refused as error:
        name = "UMBRA_PAPER_BALANCE"
        raise SettingsInvalid(f"{name}: {error}. Example: {name}={BALANCES_EXAMPLE}") from None


def account_lock(settings: Settings) -> AccountLock:
    """Return what keeps a second agent on this host from the same account."""
    place = exchange_place(settings.exchange_id, settings.exchange_rest_url)
    return AccountLock(place, settings.exchange_api_key.get_secret_value())


def exchange_place(exchange_id: str, rest_url: str | None) -> str:
    """Return one name for one exchange: its id, or the host and port of an address of its own.

    However it is written: every name of this machine is `localhost`, and each of Binance's
    addresses is `binance`.
    """
    parts = urlsplit(rest_url or "")
    host = (parts.hostname or "").rstrip(".")
    if not host or (exchange_id == "binance" and host in _BINANCE):
        return exchange_id
    name = "localhost" if _is_this_machine(host) else host
    return f"{name}:{parts.port or _PORTS.get(parts.scheme, 443)}"


def _is_this_machine(host: str) -> bool:
    if is_loopback(host):
        return True
    try:
        # The system reads 127.1 as an address, too; 0.0.0.0 leads to this machine.
        address = ip_address(host if ":" in host else inet_ntoa(inet_aton(host)))
    except (OSError, ValueError):
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified

"""The account that orders touch: the key's own on the exchange, or one that is simulated here."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from bot.config import Mode, Settings
from bot.shares import gateway_settings
from storage.lease import AccountLock
from storage.store import Store
from trading.domain.errors import Refused, SettingsInvalid
from trading.domain.instrument import coins_of, refuse_unknown_coins
from trading.gateway.connect import create_gateway, create_paper_gateway
from trading.poison import InHand
from trading.ports import Clock, ExchangeGateway
from trading.right_of_way import RightOfWay
from trading.sim.account import BALANCES_EXAMPLE, parse_balances

_PAPER_FILLS_MAX = 1_000_000


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Account:
    """A gateway to it; its streams give triggers the `way`, and `restore` runs once, before."""

    gateway: ExchangeGateway
    restore: Callable[[], Awaitable[None]] = _nothing
    way: RightOfWay = field(default_factory=RightOfWay)


def account_of(settings: Settings, store: Store, clock: Clock, in_hand: InHand) -> Account:
    """Return the account of the mode; raises SettingsInvalid for paper balances that cannot be."""
    way = RightOfWay()
    if settings.mode is Mode.LIVE:
        return Account(create_gateway(gateway_settings(settings), clock, in_hand, way), way=way)
    with _named():
        balances = parse_balances(settings.paper_balance)
    paper = create_paper_gateway(
        gateway_settings(settings), clock, balances, in_hand=in_hand, way=way
    )

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
    return AccountLock(
        settings.exchange_rest_url or settings.exchange_id,
        settings.exchange_api_key.get_secret_value(),
    )

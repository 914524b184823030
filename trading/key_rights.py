"""What an exchange key may do, held against what Umbra needs: trade and read, from one address."""

from dataclasses import dataclass

from trading.ports.exchange import KeyPermissions


@dataclass(frozen=True, slots=True)
class KeyFinding:
    """One thing wrong with the key; a dangerous one stops a start and new risk."""

    name: str
    text: str
    is_dangerous: bool = True


def judge_key(rights: KeyPermissions, *, accepts_unrestricted: bool) -> tuple[KeyFinding, ...]:
    """Name everything that is wrong with a key.

    `accepts_unrestricted` is the host's word that the key may be used from any address, or on an
    exchange that does not tell what its keys may do. It never covers a right that is told.
    """
    if not rights.is_told:
        return () if accepts_unrestricted else (_UNTOLD,)
    found = []
    if rights.can_withdraw:
        found.append(_WITHDRAWAL)
    if rights.can_transfer:
        found.append(_TRANSFER)
    if rights.can_borrow:
        found.append(_BORROWING)
    if not rights.is_ip_restricted and not accepts_unrestricted:
        found.append(_UNRESTRICTED)
    if not rights.can_trade:
        found.append(_IDLE)
    return tuple(found)


_OVERRIDE = "UMBRA_ALLOW_UNRESTRICTED_KEY=true"
_WITHDRAWAL = KeyFinding(
    "withdraw", "the exchange key may withdraw: take that right away, or make a key without it"
)
_TRANSFER = KeyFinding(
    "transfer", "the exchange key may transfer: take that right away, or make a key without it"
)
_BORROWING = KeyFinding(
    "borrow",
    "the exchange key may trade margin, futures or options: Umbra needs spot only, so take it away",
)
_UNRESTRICTED = KeyFinding(
    "unrestricted",
    "the exchange key works from any address: restrict it to this machine's, "
    f"or accept that with {_OVERRIDE}",
)
_UNTOLD = KeyFinding(
    "untold",
    "this exchange does not tell what a key may do: look that it can neither withdraw nor "
    f"transfer, then accept that with {_OVERRIDE}",
)
_IDLE = KeyFinding("idle", "the exchange key may not trade: stops cannot sell", is_dangerous=False)

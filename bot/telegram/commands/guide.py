"""The guided cards of /track and /trade: symbol, rule or side, level, amount, tapped or typed.

What has been chosen so far is the beginning of the one-line form itself, carried by the buttons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from bot.telegram import grammar
from bot.telegram.keyboards import fits, in_rows, shows
from bot.telegram.render.text import Card, Code, card_text, price
from trading.desk import Desk
from trading.domain.chat import Button
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import EXACT, parse_decimal, plain
from trading.overview import BalanceView

_SYMBOLS_MAX = 8
_SUGGESTED = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "ADA/USDT")
_AMOUNTS = ("all", "50%", "25%")
_TRAILS = ("1%", "2%", "3%", "5%")


@dataclass(frozen=True, slots=True)
class Step:
    """One question of the guide; `takes_typing` lets the next plain message continue the line."""

    card: Card
    takes_typing: bool = True


def next_step(words: tuple[str, ...], desk: Desk) -> Step | None:
    """The next question, or None when the line is long enough to be read as a whole.

    Raises Refused when what was chosen or typed so far is wrong.
    """
    if not words:
        return _ask_symbol(desk)
    instrument = desk.instrument(words[0])
    rule = [word.lower() for word in words[1:]]
    line = " ".join(("/track", instrument.symbol, *rule))
    is_buy = rule[:1] == ["buy"]
    step: Step | None = None
    match rule:
        case []:
            step = _ask_rule(line, instrument, desk)
        case ["stop"] | ["sell", "above"] | ["buy", "below"] | ["buy", "stop"]:
            step = _ask_level(line, instrument, desk)
        case ["trail"] | ["sell", "above", _, "trail"] | ["buy", "below", _, "trail"]:
            _read_so_far(f"{line} 1% all", desk)
            step = _ask_trail(line)
        case ["sell", "above", _] | ["buy", "below", _]:
            _read_so_far(f"{line} trail 1% all", desk)
            step = _ask_trail(f"{line} trail")
        case (
            ["stop" | "trail", _]
            | ["buy", "stop", _]
            | ["sell", "above", _, "trail", _]
            | ["buy", "below", _, "trail", _]
        ):
            _read_so_far(f"{line} all", desk)
            step = _ask_amount(line, instrument, is_buy=is_buy)
    return step


def next_trade_step(command: str, words: tuple[str, ...], desk: Desk) -> Step | None:
    """The next question of /trade, /buy or /sell; None where reading the line says more."""
    if not words:
        return _ask_traded_symbol(command, desk)
    if not _is_listed(words[0], desk):
        return None
    instrument = desk.instrument(words[0])
    said = [word.lower() for word in words[1:]]
    line = " ".join((f"/{command}", instrument.symbol, *said))
    match command, said:
        case "trade", []:
            buttons = [shows("🛒 Buy", f"{line} buy"), shows("💵 Sell", f"{line} sell")]
            text = card_text(f"🔁 {instrument.symbol}: buy or sell?", "Tap or type it.")
            return Step(Card(text, in_rows(buttons)))
        case ("buy" | "sell" as side, []) | ("trade", ["buy" | "sell" as side]):
            return _ask_amount(line, instrument, is_buy=side == "buy", sign="🔁")
        case _:
            return None


def ask_unit(command: str, words: tuple[str, ...], desk: Desk) -> Step | None:
    """Ask whether the bare number typed for a purchase is of money or of coins."""
    said = [word.lower() for word in words[1:]]
    side = said.pop(0) if command == "trade" and said else command
    if side != "buy" or len(said) != 1 or not _is_number(said[0]):
        return None
    instrument = desk.instrument(words[0])
    number = said[0]
    line = f"/buy {instrument.symbol}"
    buttons = [
        shows(f"{number} {unit}", f"{line} {number} {unit}")
        for unit in (instrument.quote, instrument.base)
    ]
    text = card_text(
        f"🔁 {number} of what?",
        f"Tap whether it is {instrument.quote} to spend or {instrument.base} to buy, or type it:",
        Code(instrument.quote),
    )
    return Step(Card(text, in_rows(_fitting(buttons))))


def _is_number(word: str) -> bool:
    try:
        return parse_decimal(word) > 0
    except Refused:
        return False


def _ask_traded_symbol(command: str, desk: Desk) -> Step:
    symbols = _sold_symbols(desk) if command == "sell" else _suggested(desk)
    if not symbols:
        raise Refused("nothing is held that could be sold", example="/balance")
    examples = {
        "buy": "/buy BTC/USDT 100 USDT",
        "sell": f"/sell {symbols[0]} 50%",
        "trade": "/trade BTC/USDT buy 100 USDT",
    }
    word = command.capitalize()
    text = card_text(
        f"🔁 {word} which symbol?",
        "Tap or type it. The whole line works too:",
        Code(examples[command]),
    )
    return Step(Card(text, in_rows(_taps(command, symbols))))


def _read_so_far(line: str, desk: Desk) -> None:
    """Refuse a wrong level or distance now, not after the last question."""
    grammar.parse(line, desk.instrument)


def _ask_symbol(desk: Desk) -> Step:
    text = card_text(
        "🎯 Track which symbol?",
        "Tap or type it. The whole line works too:",
        Code("/track BTC/USDT stop 58000 all"),
    )
    return Step(Card(text, in_rows(_taps("track", _suggested(desk)))))


def _taps(command: str, symbols: Sequence[str]) -> list[Button]:
    return [shows(symbol, f"/{command} {symbol}") for symbol in symbols[:_SYMBOLS_MAX]]


def _suggested(desk: Desk) -> list[str]:
    """What is held, and what many people trade."""
    account = desk.account()
    held = [view.symbol for view in desk.positions()]
    held += [f"{view.balance.asset}/{account.currency}" for view in account.balances]
    return [one for one in dict.fromkeys((*held, *_SUGGESTED)) if _is_listed(one, desk)]


def _sold_symbols(desk: Desk) -> list[str]:
    """What is held and worth an order: nothing else can be sold."""
    account = desk.account()
    held = [view.symbol for view in desk.positions()]
    held += [
        symbol
        for view in account.balances
        if _is_listed(symbol := f"{view.balance.asset}/{account.currency}", desk)
        and not _is_dust(view, desk.instrument(symbol))
    ]
    return list(dict.fromkeys(held))


def _is_dust(view: BalanceView, instrument: Instrument) -> bool:
    total = view.balance.total
    return not total or (
        view.value is not None and instrument.is_dust(total, EXACT.divide(view.value, total))
    )


def _is_listed(symbol: str, desk: Desk) -> bool:
    try:
        desk.instrument(symbol)
    except Refused:
        return False
    return True


def _ask_rule(line: str, instrument: Instrument, desk: Desk) -> Step:
    buttons = [
        shows("🛡 Stop", f"{line} stop"),
        shows("📉 Trailing stop", f"{line} trail"),
        shows("💰 Take profit", f"{line} sell above"),
        shows("🛒 Buy the dip", f"{line} buy below"),
        shows("🚀 Breakout buy", f"{line} buy stop"),
    ]
    now = _now(instrument, desk)
    text = card_text(
        f"🎯 {instrument.symbol}: which rule?",
        *([f"Price {price(now, instrument)}"] if now else []),
        "Lines can be typed, support / resistance, each two times (UTC) with their prices:",
        Code(f"{line} {_example_lines(now, instrument, desk)}"),
    )
    return Step(Card(text, in_rows(buttons)))


def _example_lines(now: Decimal | None, instrument: Instrument, desk: Desk) -> str:
    """Two lines around the present price through the last fortnight, as they would be typed."""
    today = desk.status().now
    times = [f"{today - timedelta(days=days):%Y-%m-%dT00:00}" for days in (14, 1)]
    around = now or Decimal(1)
    support, resistance = (
        " ".join(
            f"{time} {plain(instrument.price_down(around * Decimal(share)))}"
            for time, share in zip(times, shares, strict=True)
        )
        for shares in (("0.93", "0.95"), ("1.08", "1.06"))
    )
    return f"lines {support} / {resistance} trail 1.5% all"


def _ask_level(line: str, instrument: Instrument, desk: Desk) -> Step:
    now = _now(instrument, desk)
    sign = 1 if line.endswith(("sell above", "buy stop")) else -1
    buttons = []
    for share in ("0.01", "0.02", "0.03", "0.05", "0.08", "0.10") if now else ():
        level = instrument.price_down((now or Decimal(0)) * (1 + sign * Decimal(share)))
        label = f"{price(level, instrument)} ({'+' if sign > 0 else '-'}{share[2:].lstrip('0')}%)"
        buttons.append(shows(label, f"{line} {plain(level)}"))
    example = buttons[1].data[1:].rsplit(" ", 1)[-1] if buttons else "58000"
    text = card_text(
        f"🎯 {instrument.symbol}: at which price?",
        *([f"Price {price(now, instrument)}"] if now else []),
        "Tap a level or type one:",
        Code(example),
    )
    return Step(Card(text, in_rows(_fitting(buttons))))


def _ask_trail(line: str) -> Step:
    buttons = [shows(trail, f"{line} {trail}") for trail in _TRAILS if fits(f"{line} {trail}")]
    text = card_text(
        "🎯 How far behind the best price?", "Tap a distance or type one:", Code("2.5%")
    )
    return Step(Card(text, in_rows(buttons)))


def _ask_amount(line: str, instrument: Instrument, *, is_buy: bool, sign: str = "🎯") -> Step:
    amounts = tuple(f"{size} {instrument.quote}" for size in (50, 100, 500)) if is_buy else _AMOUNTS
    buttons = [shows(size, f"{line} {size}") for size in amounts if fits(f"{line} {size}")]
    example = f"500 {instrument.quote}" if is_buy else "0.5"
    text = card_text(
        f"{sign} {instrument.symbol}: how much?", "Tap an amount or type one:", Code(example)
    )
    return Step(Card(text, in_rows(buttons, 3)))


def _fitting(buttons: list[Button]) -> list[Button]:
    return [button for button in buttons if fits(button.data[1:])]


def _now(instrument: Instrument, desk: Desk) -> Decimal | None:
    quote = desk.quote(instrument.symbol)
    return None if quote is None else quote.mid

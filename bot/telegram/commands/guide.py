"""The guided cards of /track and /trade: symbol, rule or side, level, amount, tapped or typed.

What has been chosen so far is the beginning of the one-line form itself, carried by the buttons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from bot.telegram import grammar
from bot.telegram.keyboards import fits, in_rows, shows
from bot.telegram.render.text import Card, Code, Line, card_text, price, worth
from trading.desk import Desk
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import EXACT, ZERO, parse_decimal, plain
from trading.overview import BalanceView

_SYMBOLS_MAX = 8
_LEAVE = "cancel"
_SUGGESTED = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "ADA/USDT")
_SHARES: tuple[str, ...] = ("all", "50%", "25%")
# A purchase for the least alone would be dust after its fee.
_BUDGET_TIMES = (100, 20, 10, 5, 2)
_TRAILS = ("1%", "2%", "3%", "5%")


@dataclass(frozen=True, slots=True)
class Step:
    """One question of the guide; `takes_typing` lets the next plain message continue the line."""

    card: Card
    takes_typing: bool = True


def is_left(words: tuple[str, ...], *, is_continued: bool) -> bool:
    """Whether a guide is given up: by its button, or by the word where an answer was awaited."""
    last = words[-1].lower() if words else ""
    return last == _LEAVE and (is_continued or len(words) == 1)


def left_card() -> Card:
    """What a guide turns into that was given up."""
    return Card(card_text("✖️ Cancelled", "Nothing was done."))


async def next_step(words: tuple[str, ...], desk: Desk) -> Step | None:
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
            step = _ask_rule(line, instrument, await _now(instrument, desk), desk)
        case ["stop"] | ["sell", "above"] | ["buy", "below"] | ["buy", "stop"]:
            step = _ask_level(line, instrument, await _now(instrument, desk))
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
            if rule[-2] == "stop":
                _refuse_crossed(line, instrument, await _now(instrument, desk), is_buy=is_buy)
            step = await _ask_amount(line, instrument, desk, is_buy=is_buy)
    return step


async def next_trade_step(command: str, words: tuple[str, ...], desk: Desk) -> Step | None:
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
            taps = {"🛒 Buy": f"{line} buy", "💵 Sell": f"{line} sell"}
            text = card_text(f"🔁 {instrument.symbol}: buy or sell?", "Tap or type it.")
            return _step(text, taps, command)
        case ("buy" | "sell" as side, []) | ("trade", ["buy" | "sell" as side]):
            return await _ask_amount(line, instrument, desk, is_buy=side == "buy", sign="🔁")
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
    units = (instrument.quote, instrument.base)
    taps = {f"{number} {unit}": f"{line} {number} {unit}" for unit in units}
    text = card_text(
        f"🔁 {number} of what?",
        f"Tap whether it is {instrument.quote} to spend or {instrument.base} to buy, or type it:",
        Code(instrument.quote),
    )
    return _step(text, taps, command)


def _step(text: str, taps: dict[str, str], command: str, per_row: int = 2) -> Step:
    """One question with the lines that a tap sends, by label, and the way out of the guide."""
    buttons = [shows(label, line) for label, line in taps.items() if fits(line)]
    leave = shows("Cancel", f"/{command} {_LEAVE}")
    return Step(Card(text, (*in_rows(buttons, per_row), (leave,))))


def _is_number(word: str) -> bool:
    try:
        return parse_decimal(word) > 0
    except Refused:
        return False


def _ask_traded_symbol(command: str, desk: Desk) -> Step:
    symbols = _sold_symbols(desk) if command == "sell" else _suggested(desk)
    if not symbols and command == "sell":
        raise Refused("nothing is held that could be sold", example="/balance")
    examples = {
        "buy": "/buy BTC/USDT 100 USDT",
        "sell": f"/sell {''.join(symbols[:1])} 50%",
        "trade": "/trade BTC/USDT buy 100 USDT",
    }
    word = command.capitalize()
    text = card_text(
        f"🔁 {word} which symbol?",
        "Tap or type it. The whole line works too:",
        Code(examples[command]),
    )
    return _step(text, _taps(command, symbols), command)


def _read_so_far(line: str, desk: Desk) -> None:
    """Refuse a wrong level or distance now, not after the last question."""
    grammar.parse(line, desk.instrument)


def _refuse_crossed(
    line: str, instrument: Instrument, now: Decimal | None, *, is_buy: bool
) -> None:
    before, _, level = line.rpartition(" ")
    if now is None or (parse_decimal(level) > now if is_buy else parse_decimal(level) < now):
        return
    raise Refused(
        f"the stop {level} is already crossed: the price is {price(now, instrument)}",
        example=next(iter(_levels(before, instrument, now).values())),
    )


def _ask_symbol(desk: Desk) -> Step:
    text = card_text(
        "🎯 Track which symbol?",
        "Tap or type it. The whole line works too:",
        Code("/track BTC/USDT trail 3% all"),
    )
    return _step(text, _taps("track", _suggested(desk)), "track")


def _taps(command: str, symbols: Sequence[str]) -> dict[str, str]:
    return {symbol: f"/{command} {symbol}" for symbol in symbols[:_SYMBOLS_MAX]}


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


def _ask_rule(line: str, instrument: Instrument, now: Decimal | None, desk: Desk) -> Step:
    taps = {
        "🛡 Stop": f"{line} stop",
        "📉 Trailing stop": f"{line} trail",
        "💰 Take profit": f"{line} sell above",
        "🛒 Buy the dip": f"{line} buy below",
        "🚀 Breakout buy": f"{line} buy stop",
    }
    lines: list[Line] = (
        []
        if now is None
        else [
            "Lines can be typed, support / resistance, each two times (UTC) with their prices:",
            Code(f"{line} {_example_lines(now, instrument, desk)}"),
        ]
    )
    text = card_text(f"🎯 {instrument.symbol}: which rule?", _price_line(now, instrument), *lines)
    return _step(text, taps, "track")


def _price_line(now: Decimal | None, instrument: Instrument) -> str:
    return "No price of it comes now" if now is None else f"Price {price(now, instrument)}"


def _example_lines(now: Decimal, instrument: Instrument, desk: Desk) -> str:
    """Two lines around the present price through the last fortnight, as they would be typed."""
    today = desk.status().now
    times = [f"{today - timedelta(days=days):%Y-%m-%dT00:00}" for days in (14, 1)]
    support, resistance = (
        " ".join(
            f"{time} {plain(instrument.price_down(now * Decimal(share)))}"
            for time, share in zip(times, shares, strict=True)
        )
        for shares in (("0.93", "0.95"), ("1.08", "1.06"))
    )
    return f"lines {support} / {resistance} trail 1.5% all"


def _ask_level(line: str, instrument: Instrument, now: Decimal | None) -> Step:
    taps = {} if now is None else _levels(line, instrument, now)
    asked: list[Line] = ["Type a price:"]
    if taps:
        asked = ["Tap a level or type one:", Code(list(taps.values())[1].rpartition(" ")[2])]
    text = card_text(
        f"🎯 {instrument.symbol}: at which price?", _price_line(now, instrument), *asked
    )
    return _step(text, taps, "track")


def _levels(line: str, instrument: Instrument, now: Decimal) -> dict[str, str]:
    """Levels on the side of the price on which the rule wants them, by what a button says."""
    sign = 1 if line.endswith(("sell above", "buy stop")) else -1
    taps = {}
    for percent in (1, 2, 3, 5, 8, 10):
        level = instrument.price_down(now * (1 + sign * Decimal(percent) / 100))
        label = f"{price(level, instrument)} ({'+' if sign > 0 else '-'}{percent}%)"
        taps[label] = f"{line} {plain(level)}"
    return taps


def _ask_trail(line: str) -> Step:
    taps = {trail: f"{line} {trail}" for trail in _TRAILS}
    text = card_text(
        "🎯 How far behind the best price?", "Tap a distance or type one:", Code("2.5%")
    )
    return _step(text, taps, "track")


async def _ask_amount(
    line: str, instrument: Instrument, desk: Desk, *, is_buy: bool, sign: str = "🎯"
) -> Step:
    amounts, example = _SHARES, "30%"
    if is_buy:
        amounts = _budgets(instrument, await _now(instrument, desk), _free(instrument, desk))
        example = amounts[-1]
    taps = {size: f"{line} {size}" for size in amounts}
    text = card_text(
        f"{sign} {instrument.symbol}: how much?", "Tap an amount or type one:", Code(example)
    )
    command = line[1:].partition(" ")[0]
    return _step(text, taps, command, 3)


def _budgets(instrument: Instrument, now: Decimal | None, free: Decimal) -> tuple[str, ...]:
    """Amounts to spend, as many times what an order takes at least: a coin is worth thousands.

    Raises Refused where the account can pay none of them.
    """
    if not instrument.notional_min:
        return ("10%", "25%", "50%")
    quote = instrument.quote
    least = instrument.notional_min if now is None else instrument.notional_least(now)
    paid = [least * times for times in _BUDGET_TIMES if least * times <= free]
    if not paid:
        raise Refused(
            f"{worth(free, quote)} is free: too little to buy {instrument.base} with, which takes "
            f"{plain(least * _BUDGET_TIMES[-1])} {quote}",
            example="/balance",
        )
    return tuple(f"{plain(amount)} {quote}" for amount in reversed(paid[:3]))


def _free(instrument: Instrument, desk: Desk) -> Decimal:
    """What no order holds of the money that a purchase is paid with."""
    held = (view.balance for view in desk.account().balances)
    return next((each.free for each in held if each.asset == instrument.quote), ZERO)


async def _now(instrument: Instrument, desk: Desk) -> Decimal | None:
    quote = await desk.look(instrument.symbol)
    return None if quote is None else quote.mid

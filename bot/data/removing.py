"""`umbra data remove`: candles taken out of the archive for good; and which ones are meant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from storage.archive.archive import Archive
    from trading.candles.series import SeriesName


def named(
    archive: "Archive", exchange: str, symbol: str, timeframes: Sequence[str]
) -> list["SeriesName"]:
    """Return the series of a symbol that an archive knows, shortest candles first.

    Refused where there is none, or none of one of the lengths.
    """
    from trading.candles.naming import none_of, series_among, symbol_among

    known = archive.series_known()
    if timeframes:
        return [series_among(known, exchange, symbol, one) for one in timeframes]
    own = [name for name in known if name.exchange == exchange]
    if not own:
        raise none_of(known, (exchange, symbol))
    found = symbol_among(symbol, {name.symbol for name in own}, f"the archive of {exchange}")
    return sorted((one for one in own if one.symbol == found), key=lambda one: one.length_ms)


def remove_command(
    exchange: Annotated[str, typer.Option(help="For example binance.")],
    symbol: Annotated[str, typer.Option(help="For example BTC/USDT, or BTC/USDT:USDT.")],
    timeframe: Annotated[
        list[str] | None, typer.Option(help="For example 1m; may be given again. Default: all.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Delete the candles of a symbol, for good; it is asked first.

    An agent that scans the symbol goes on with what it knows, and begins a new past at once. Broken
    off, it is finished by whatever writes next, or has not begun.
    """
    from bot import config
    from storage.archive.archive import Archive
    from storage.archive.writer import writing
    from trading.domain.time import Timeframe

    archive = Archive(config.data_directory() / "archive")
    lengths = [Timeframe.parse(one).name for one in timeframe or ()]
    names = named(archive, exchange.lower(), symbol, lengths)
    counts = [count_of(archive, name) for name in names]
    for name, candles in zip(names, counts, strict=True):
        typer.echo(f"{name}: {candles:,} candles")
    if not yes:
        typer.confirm("Delete them for good?", abort=True)
    with writing(archive.root) as writer:
        writer.remove(names)
    typer.echo(f"{sum(counts):,} candles are deleted")


def count_of(archive: "Archive", name: "SeriesName") -> int:
    """Return how many candles of a series can be read."""
    return len(archive.load(name).candles)

"""`umbra data …`: parse, ask archive and exchange, say what was done.

Heavy rooms are imported inside the command that needs them, as in `bot.cli`.
"""

import asyncio
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.data.removing import remove_command
from trading.domain.errors import Refused

if TYPE_CHECKING:
    from bot.data.downloading import Downloader
    from bot.data.progress import ProgressBar
    from storage.archive.archive import Archive, Holding
    from storage.archive.writer import ArchiveWriter
    from trading.candles.series import SeriesName
    from trading.candles.spans import Span
    from trading.gateway.candle_history import CandleHistory

data_app = typer.Typer(
    help="Keep, check and hand out candles: the archive of closed ones.", no_args_is_help=True
)

data_app.command("remove")(remove_command)

Exchange = Annotated[str | None, typer.Option(help="For example binance.")]
Symbol = Annotated[str | None, typer.Option(help="For example BTC/USDT, or BTC/USDT:USDT.")]
Timeframe = Annotated[str | None, typer.Option(help="For example 1m.")]
_OLDEST = datetime(2011, 1, 1, tzinfo=UTC)
# The first of all began in March 2010.
_FIRST_EXCHANGE = datetime(2010, 1, 1, tzinfo=UTC)
_ALL_THREE = "a series needs all three: --exchange binance --symbol BTC/USDT --timeframe 1m"
_TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]


@data_app.command("import")
def import_command(
    path: Annotated[Path, typer.Argument(help="A CSV or Parquet file, or a folder of them.")],
    exchange: Exchange = None,
    symbol: Symbol = None,
    timeframe: Timeframe = None,
    drop_last: Annotated[
        bool | None,
        typer.Option(
            "--drop-last/--keep-last",
            help="Leave the newest candle of a file out. Default: in tables of several symbols.",
        ),
    ] = None,
) -> None:
    """Take candles in from files named EXCHANGE_BASE-QUOTE_TIMEFRAME, or as the options say.

    Of a folder that holds none those below it are taken.
    What is wrong with them is repaired where that is certain, refused and kept apart where it is
    not; exit code 1 when a whole file was refused.
    """
    from bot.data import importing, wording
    from storage.archive.foreign import NoCandles
    from storage.archive.writer import writing

    name = _name(exchange, symbol, timeframe) if exchange or symbol or timeframe else None
    # Of one name candles of several folders hardly are.
    chosen = importing.candle_files(path, are_below_taken=name is None)
    files, base = chosen.files, path if chosen.folders else None
    if chosen.folders:
        typer.echo(f"Below {path}, candles are taken from {importing.named(path, chosen.folders)}")
    refused = passed_by = 0
    with writing(_root()) as writer:
        _say(wording.found_at_start(writer))
        for number, file in enumerate(files, start=1):
            shown = file.relative_to(base) if base else file.name
            typer.echo(f"[{number}/{len(files)}] {shown}")
            try:
                refused += not _import_file(writer, file, name, drop_last)
            except Refused as error:
                if path.is_dir() and isinstance(error, NoCandles):
                    passed_by += 1
                    typer.echo("  passed by: it holds no candles")
                    continue
                refused += 1
                example = f"; for example: {error.example}" if error.example else ""
                typer.echo(f"  REFUSED: {error}{example}", err=True)
    if passed_by == len(files):
        raise importing.no_candles_in(path)
    sys.exit(1 if refused else 0)


@data_app.command("download")
def download_command(
    exchange: Annotated[str, typer.Option(help="Any that ccxt knows, for example kraken.")],
    symbol: Annotated[str, typer.Option(help="For example BTC/USDT, or BTC/USDT:USDT.")],
    timeframe: Annotated[str, typer.Option(help="For example 1m.")],
    since: Annotated[datetime, typer.Option(formats=_TIME_FORMATS, help="UTC.")] = _OLDEST,
    until: Annotated[datetime | None, typer.Option(formats=_TIME_FORMATS, help="UTC.")] = None,
    page: Annotated[int, typer.Option(min=2, help="Candles per request, at most.")] = 1000,
    rest_url: Annotated[
        str | None, typer.Option(help="The exchange at another address, such as umbra sim.")
    ] = None,
) -> None:
    """Fetch closed candles from an exchange, without a key; run it again and it goes on.

    It may be killed at any moment. Known gaps are asked for again each time.
    """
    from bot.clock import SystemClock
    from bot.data import wording
    from bot.data.progress import ProgressBar
    from storage.archive.writer import writing
    from trading.domain.time import Timeframe as CandleLength
    from trading.gateway.candle_history import CandleHistory
    from trading.gateway.settings import GatewaySettings

    clock = SystemClock()
    _check_exchanges_existed("--since", since)
    _check_exchanges_existed("--until", until)
    if since.replace(tzinfo=UTC) >= clock.now():
        raise Refused(
            f"--since should lie in the past, was {since:%Y-%m-%d %H:%M}",
            example="--since 2021-05-01",
        )
    within, timeframe = _within(since, until), CandleLength.parse(timeframe).name
    settings = GatewaySettings(exchange_id=exchange.lower(), rest_url=rest_url)
    history = CandleHistory(settings, symbol, clock, page)
    title = f"{exchange.lower()} {symbol} {timeframe}"
    try:
        with writing(_root()) as writer, ProgressBar(title) as bar:
            for line in wording.found_at_start(writer):
                bar.say(line)
            downloader = asyncio.run(_download(history, writer, timeframe, within, bar))
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on from here.", err=True)
        sys.exit(130)
    _say(wording.downloaded(downloader.name, downloader.added, downloader.repaired))


async def _download(
    history: "CandleHistory",
    writer: "ArchiveWriter",
    timeframe: str,
    within: "Span",
    bar: "ProgressBar",
) -> "Downloader":
    from bot.data import wording
    from bot.data.downloading import Downloader
    from trading.candles.series import series_name

    try:
        await history.open(lambda unanswered: bar.stand_still(wording.unanswered(unanswered)))
        history.check_timeframe(timeframe)
        name = series_name(history.exchange_id, history.symbol, timeframe)
        if not history.is_listed:
            bar.say(f"{name.symbol} no longer trades on {name.exchange}; its history is fetched")
        downloader = Downloader(history, writer, name, bar, bar.say)
        await downloader.run(within.first_ms, within.last_ms + 1)
    finally:
        await history.close()
    return downloader


@data_app.command("export")
def export_command(
    path: Annotated[Path, typer.Argument(help="The file to write: .csv or .parquet.")],
    exchange: Exchange = None,
    symbol: Symbol = None,
    timeframe: Timeframe = None,
    since: Annotated[datetime | None, typer.Option(formats=_TIME_FORMATS, help="UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_TIME_FORMATS, help="UTC.")] = None,
) -> None:
    """Write the candles of one series to a file, those that open from `since` to before `until`."""
    from storage.archive.foreign import write_file

    _check_folder_of(path)
    archive, within = _archive(), _within(since, until)
    name = _held_name(archive, exchange, symbol, timeframe)
    holding = archive.load(name, within)
    if holding.damaged:
        raise Refused(
            f"{name} has damaged months: umbra data repair moves them away; then import or "
            "download them again"
        )
    times = holding.candles.open_time_ms
    candles = holding.candles.take((times >= within.first_ms) & (times <= within.last_ms))
    if not len(candles):
        raise Refused(f"the archive holds no candles of {name} then: see umbra data list")
    write_file(path, name, candles)
    typer.echo(f"{len(candles):,} candles of {name} are in {path}")


@data_app.command("combine")
def combine_command(
    extra: Annotated[
        list[str],
        typer.Option("--with", help="kraken, or kraken:BTC/USD where it is called otherwise."),
    ],
    exchange: Exchange = None,
    symbol: Symbol = None,
    timeframe: Timeframe = None,
    to: Annotated[
        Path | None, typer.Option(help="Write the history to this .csv or .parquet file.")
    ] = None,
) -> None:
    """Let other exchanges fill what lies before one exchange's first candle, and its gaps.

    No candle of the exchange that leads is replaced. Shows whose candles these are and how far
    prices differ where several have some. umbra data list shows it from then on, with its parts,
    and an agent of the exchange that leads ranks against it from its next start.
    """
    from bot.data import wording
    from storage.archive import combinations
    from storage.archive.foreign import write_file
    from trading.candles.series import SeriesName

    if to is not None:
        _check_folder_of(to)
    archive = _archive()
    names = [_held_name(archive, exchange, symbol, timeframe)]
    for one in extra:
        other, _, own_symbol = one.partition(":")
        names.append(_held_name(archive, other, own_symbol or names[0].symbol, timeframe))
    if len(set(names)) < len(names):
        raise Refused("each exchange should be named once", example="--with kraken")
    combined = archive.combined(names)
    combinations.keep(archive.root, names)
    _say(wording.combined(names, combined))
    if to is not None:
        # Under a name of its own: read in again it is nobody's own history.
        whole = SeriesName("combined", names[0].symbol, names[0].timeframe)
        labels = [f"{name.exchange} {name.symbol}" for name in names]
        write_file(to, whole, combined.candles, [labels[place] for place in combined.source])
        typer.echo(f"{len(combined.candles):,} candles of {whole} are in {to}")


@data_app.command("list")
def list_command() -> None:
    """Show every series: how many candles, from when to when, and what is missing.

    Below them every combined history with its parts. Exit code 1 when a month is damaged or lost.
    """
    from bot.data import wording
    from storage.archive import combinations

    archive = _archive()
    holdings = [archive.load(name) for name in archive.series_known()]
    _say(wording.table(holdings) if holdings else [wording.NOTHING_HELD])
    lost = [holding for holding in holdings if holding.lost]
    _say(f"{holding.name}: {wording.lost(holding.lost_months)}" for holding in lost)
    for parts in combinations.kept(archive.root):
        try:
            _say(wording.combination(parts, archive.combined(parts)))
        except Refused as error:
            typer.echo(wording.no_combination(parts, str(error)))
    sys.exit(1 if lost or any(holding.damaged for holding in holdings) else 0)


@data_app.command("verify")
def verify_command(
    exchange: Exchange = None,
    symbol: Symbol = None,
    timeframe: Timeframe = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every gap, not only the longest of each series.")
    ] = False,
) -> None:
    """Prove every checksum and list gaps; exit code 1 when a file is damaged or a month is lost."""
    from bot.data import wording
    from trading.candles.naming import none_of

    archive = _archive()
    wanted = (exchange, symbol, timeframe)
    holdings: list[Holding] = []
    for name in archive.series_known():
        if _matches(name, wanted):
            holdings.append(archive.load(name))
            _say(wording.verified(holdings[-1], is_all_shown=every))
    if not holdings and any(wanted):
        raise none_of(archive.series_known(), [part for part in wanted if part])
    if not holdings:
        typer.echo(wording.NOTHING_HELD)
    damaged = sum(len(holding.damaged) for holding in holdings)
    if wording.tail_damage(archive.appended) and (torn := wording.tail_damage(archive.appended)):
        # The first look may have fallen into a write of the running agent.
        damaged += 1
        typer.echo(torn)
    if unknown := wording.register_damage(archive.register):
        damaged += 1
        typer.echo(unknown)
    is_sound = not damaged and not any(holding.lost for holding in holdings)
    for line in wording.verdict(holdings, damaged) if holdings or damaged else ():
        typer.echo(line, err=not is_sound)
    sys.exit(0 if is_sound else 1)


@data_app.command("repair")
def repair_command(
    forget: Annotated[
        bool, typer.Option("--forget", help="Miss no longer the months that are lost for good.")
    ] = False,
) -> None:
    """Remove what a killed import left half-written, and move damaged months into quarantine.

    They are missed, by list and verify, until they were imported or downloaded again.
    """
    from bot.data import wording
    from storage.archive.writer import writing

    with writing(_root()) as writer:
        found = list(wording.found_at_start(writer))
        found += map(wording.moved_away, writer.quarantine_damaged())
        if forget:
            found += map(wording.forgotten, writer.forget_lost())
        _say(found or ["Every file is as it was written."])


def _import_file(
    writer: "ArchiveWriter", file: Path, name: "SeriesName | None", drop_last: bool | None
) -> bool:
    """Store a file; return False when something was refused and nothing kept."""
    from bot.clock import now_ms
    from bot.data import wording
    from storage.archive.foreign import read_file

    kept = refused = 0
    for told in read_file(file, name, drop_last=drop_last):
        for report in writer.store(told.name, told.candles, now_ms(), file.name):
            _say(wording.stored(report))
            kept += report.added + report.known
            refused += report.rejected.total()
        if told.left_out:
            typer.echo(wording.left_out(told.left_out))
    if refused and not kept:
        typer.echo("  REFUSED: nothing of the file is kept", err=True)
    return bool(kept) or not refused


def _check_folder_of(file: Path) -> None:
    if not file.parent.is_dir():
        raise Refused(f"there is no folder {file.parent}: make it first, or name another")


def _name(exchange: str | None, symbol: str | None, timeframe: str | None) -> "SeriesName":
    from trading.candles.series import series_name

    if not exchange or not symbol or not timeframe:
        raise Refused(_ALL_THREE)
    return series_name(exchange.lower(), symbol, timeframe)


def _held_name(
    archive: "Archive", exchange: str | None, symbol: str | None, timeframe: str | None
) -> "SeriesName":
    from trading.candles.naming import series_among
    from trading.domain.time import Timeframe as CandleLength

    if not exchange or not symbol or not timeframe:
        raise Refused(_ALL_THREE)
    return series_among(archive.series(), exchange, symbol, CandleLength.parse(timeframe).name)


def _matches(name: "SeriesName", wanted: Iterable[str | None]) -> bool:
    parts = (name.exchange, name.symbol, name.timeframe)
    return all(not one or one == part for one, part in zip(wanted, parts, strict=True))


def _check_exchanges_existed(option: str, at: datetime | None) -> None:
    if at is not None and at.replace(tzinfo=UTC) < _FIRST_EXCHANGE:
        raise Refused(
            f"{option} should not lie before {_FIRST_EXCHANGE:%Y}, when no exchange existed yet, "
            f"was {at:%Y-%m-%d}",
            example=f"{option} 2021-05-01",
        )


def _within(since: datetime | None, until: datetime | None) -> "Span":
    from trading.candles.spans import Span
    from trading.domain.time import to_ms

    first_ms = to_ms(since.replace(tzinfo=UTC)) if since else 0
    until_ms = (
        to_ms(until.replace(tzinfo=UTC)) if until else to_ms(datetime(2100, 1, 1, tzinfo=UTC))
    )
    if first_ms >= until_ms:
        raise Refused(
            f"--since should be before --until, was {since} and {until}",
            example="--since 2021-05-01 --until 2021-06-01",
        )
    return Span(first_ms, until_ms - 1)


def _root() -> Path:
    from bot import config

    return config.data_directory() / "archive"


def _archive() -> "Archive":
    from storage.archive.archive import Archive

    return Archive(_root())


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)

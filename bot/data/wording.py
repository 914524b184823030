"""What `umbra data` says: holdings, gaps and the fate of what was imported, in lines."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from storage.archive.archive import DamagedMonth, Holding
from storage.archive.layout import Month, months_named
from storage.archive.register import REGISTER, Register
from storage.archive.tail import TAIL, Appended
from storage.archive.writer import ArchiveWriter, Stored
from trading.candles import contradictions
from trading.candles.checking import Repair
from trading.candles.combining import UNLIKE_SHARE, Combined, Compared
from trading.candles.series import Candles, SeriesName
from trading.candles.spans import Span, unite
from trading.domain.time import following_ms, from_ms, preceding_ms
from trading.gateway.candle_history import Unanswered

NOTHING_HELD = "The archive holds no candles yet. Example: umbra data import FOLDER"
_HEADINGS = (
    "exchange",
    "symbol",
    "timeframe",
    "candles",
    "first",
    "last",
    "gaps",
    "missing",
    "damaged",
)
# A series may have thousands, and what else is wrong should not scroll away.
_GAPS_SHOWN = 20
_IS_NUMBER = (False, False, False, True, False, False, True, True, True)


def table(holdings: Sequence[Holding]) -> Iterator[str]:
    """Yield one line per series under a line of headings; of damaged months where there are any."""
    rows = [_HEADINGS, *(_cells(holding) for holding in holdings)]
    if not any(holding.damaged for holding in holdings):
        rows = [row[:-1] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, _IS_NUMBER[: len(row)], strict=True)
        yield "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in cells
        ).rstrip()


def verified(holding: Holding, *, is_all_shown: bool) -> Iterator[str]:
    """Yield what a series holds, then its gaps, stretches never asked for, damage and losses.

    Of many gaps the longest are shown, unless all are to be.
    """
    length_ms = holding.name.length_ms
    yield (
        f"{holding.name}: {_count(len(holding.candles), 'candle')}, "
        f"{_count(len(holding.gaps), 'gap')}, {_count(holding.missing, 'candle')} missing"
    )
    longest = sorted(holding.gaps, key=lambda gap: gap.first_ms - gap.last_ms)
    shown = longest if is_all_shown else longest[:_GAPS_SHOWN]
    for gap in sorted(shown):
        yield f"  gap {_stretch(gap)}: {_count(gap.count(length_ms), 'candle')}"
    if left := len(longest) - len(shown):
        yield f"  {_count(left, 'gap')} more, none of them longer: umbra data verify --all"
    for before, after in pairwise(unite((*holding.spans, *holding.lost), length_ms)):
        between = Span(
            following_ms(before.last_ms, length_ms), preceding_ms(after.first_ms, length_ms)
        )
        yield f"  never asked for {_stretch(between)}"
    for damage in holding.damaged:
        yield f"  DAMAGED {damage.month}: {damage.reason}"
    if holding.lost:
        yield f"  {lost(holding.lost_months)}"


def lost(months: Sequence[Month]) -> str:
    """Say which months were held and are not, and what brings them back."""
    are = "month is" if len(months) == 1 else "months are"
    return (
        f"{len(months):,} {are} missing: {months_named(months)}: download or import "
        f"{'it' if len(months) == 1 else 'them'} again"
    )


def forgotten(holding: Holding) -> str:
    """Say which months nobody waits for any more."""
    return f"{holding.name}: no longer missed: {months_named(holding.lost_months)}"


def verdict(holdings: Sequence[Holding], damaged: int) -> Iterator[str]:
    """Yield the last words: whether all that is there is proven, and whether all is there."""
    if damaged:
        yield (
            f"{damaged} damaged: umbra data repair moves them into quarantine; then import or "
            "download them again"
        )
    else:
        candles = sum(len(holding.candles) for holding in holdings)
        found = sum(len(holding.gaps) for holding in holdings)
        yield (
            f"All checksums hold: {_count(sum(holding.files for holding in holdings), 'file')}, "
            f"{_count(candles, 'candle')}, {_count(found, 'gap')}"
        )
    if months := sum(len(holding.lost_months) for holding in holdings):
        yield (
            f"{_count(months, 'month')} missing: download or import again; where that cannot be, "
            "umbra data repair --forget"
        )


def register_damage(register: Register | None) -> str | None:
    """Say that nobody knows any more which months were held, None when that is known."""
    if register is None or register.is_believed:
        return None
    return (
        f"DAMAGED {REGISTER}: which months were held before is not known; umbra data repair "
        "begins it anew with those that are there"
    )


def stored(report: Stored) -> Iterator[str]:
    """Yield what became of the candles of one series, and each thing that was wrong with them."""
    yield (
        f"{report.name}: {_count(report.told, 'candle')} read, {report.added:,} new, "
        f"{report.known:,} known"
    )
    if report.completed:
        yield f"  {report.completed:,} learned a volume or a count that was unknown"
    if report.running:
        yield f"  {report.running:,} left out: not closed yet"
    for repair, count in report.repaired.items():
        yield f"  {count:,} repaired: {repair.value}"
    for fault, count in report.rejected.items():
        yield f"  {count:,} REFUSED: {fault.value}"
    for path in report.quarantined:
        yield f"  kept apart in {path}"
    for damage in report.damaged:
        yield f"  {moved_away(damage)}"


def contradicted(report: Stored, told: Candles) -> str:
    """Say in one sentence why nothing of an answer is kept, and what of it may be wrong."""
    one = told.take(contradictions.are_untrue(told)).take(slice(0, 1))
    shown = ""
    if len(one):
        shown = (
            f" (at {_time(int(one.open_time_ms[0]))} close {one.close[0]:,.10g} times volume "
            f"{one.volume[0]:,.10g} is far from quote volume {one.quote_volume[0]:,.10g})"
        )
    return (
        f"prices or volumes of {report.name} come in another unit, for most of the "
        f"{_count(len(told), 'candle')} of an answer contradict their own quote volume{shown}: "
        f"nothing of it is stored, it is kept apart in {report.quarantined[0]}, and the same "
        "command goes on behind it"
    )


def downloaded(name: SeriesName, added: int, repaired: Mapping[Repair, int]) -> Iterator[str]:
    """Yield how a download ended, and what was put right on the way."""
    yield f"{name}: {added:,} new candles. See umbra data verify for what is missing"
    for repair, count in repaired.items():
        yield f"  {count:,} repaired: {repair.value}"


def unanswered(waiting: Unanswered | None) -> str | None:
    """Say that an exchange does not answer, and when it is asked again; None once it does."""
    if waiting is None:
        return None
    line = f"{waiting.why}: try {waiting.number} of {waiting.tries}"
    return line if waiting.next_s is None else f"{line}, next in {waiting.next_s:.0f} s"


def combined(names: Sequence[SeriesName], whole: Combined) -> Iterator[str]:
    """Yield whose candles a combined history holds, and how far the exchanges differ."""
    yield f"{names[0]}: {_extent(whole)}"
    yield f"  {_count(int((whole.source == 0).sum()), 'candle')} of {names[0]}"
    for name, found in zip(names[1:], whole.compared, strict=True):
        yield _part(name, found)
        yield f"    {_comparison(found)}"


def combination(names: Sequence[SeriesName], whole: Combined) -> Iterator[str]:
    """Yield a combined history that is kept in mind, and its parts."""
    yield f"combined {names[0].symbol} {names[0].timeframe}: {_extent(whole)}"
    yield f"  {_count(int((whole.source == 0).sum()), 'candle')} of {names[0]}, which leads"
    for name, found in zip(names[1:], whole.compared, strict=True):
        yield _part(name, found)


def no_combination(names: Sequence[SeriesName], why: str) -> str:
    """Say why a combined history cannot be shown."""
    parts = ", ".join(map(str, names))
    return f"combined {names[0].symbol} {names[0].timeframe} of {parts}: {why}"


def _extent(whole: Combined) -> str:
    times = whole.candles.open_time_ms
    first, last = _time(int(times[0])), _time(int(times[-1]))
    return f"{_count(len(times), 'candle')}, {first} to {last}"


def _part(name: SeriesName, found: Compared) -> str:
    return (
        f"  {_count(found.filled, 'candle')} of {name}: {found.filled_before:,} before the "
        f"first, {found.filled_gaps:,} in gaps"
    )


def _comparison(found: Compared) -> str:
    if not found.overlap:
        return (
            "NOTHING TAKEN: no candle at a time of which others have one, so nothing tells whether "
            "it is the same coin. Download some that overlap"
        )
    told = f"compared at {_count(found.overlap, 'time')}: closes are {_away(found.ratio_median)}"
    if found.is_foreign:
        return f"NOTHING TAKEN: another coin or unit; {told} in the middle"
    if not found.unlike:
        return f"{told} in the middle, nowhere more than {UNLIKE_SHARE:.0%} apart"
    return (
        f"{told} in the middle, {found.unlike:,} DISAGREE by more than {UNLIKE_SHARE:.0%}, most at "
        f"{_time(found.worst_ms)} ({_away(found.worst_ratio)})"
    )


def _away(ratio: float) -> str:
    if ratio >= 2:
        return f"{ratio:,.2f} times as high"
    percent = round(100 * (ratio - 1), 2)
    return f"{percent:+.2f} %" if percent else "the same"


def left_out(count: int) -> str:
    """Say that the newest candle of a file was not taken."""
    return f"  {count:,} left out: the newest may have been running when the file was written"


def moved_away(damage: DamagedMonth) -> str:
    """Say that a damaged month was put into quarantine."""
    return (
        f"{damage.name} {damage.month} was DAMAGED ({damage.reason}) and is in quarantine: "
        "import or download it again"
    )


def found_at_start(writer: ArchiveWriter) -> Iterator[str]:
    """Yield what was left by a writer that was killed, and what became of it."""
    for path in writer.discarded:
        yield f"{path} was half-written and is removed"
    for name in writer.removed:
        yield f"{name}: its removal was broken off and is finished now"
    if writer.cut_off is not None:
        yield (
            "The last candles appended were half-written, as after a kill; they are kept apart in "
            f"{writer.cut_off}: download them again"
        )
    yield from map(moved_away, writer.damaged)


def tail_damage(appended: Appended) -> str | None:
    """Say that what was appended last cannot be believed, None when all of it can."""
    lost = appended.bytes - appended.believed_bytes
    if not lost:
        return None
    return f"DAMAGED {TAIL}: its last {_count(lost, 'byte')} were not written whole"


def _cells(holding: Holding) -> tuple[str, ...]:
    name, candles = holding.name, holding.candles
    ends = candles.open_time_ms[[0, -1]].tolist() if len(candles) else ()
    first, last = (_time(at_ms) for at_ms in ends) if ends else ("-", "-")
    counts = (len(holding.gaps), holding.missing, len(holding.damaged))
    return (
        *(name.exchange, name.symbol, name.timeframe, f"{len(candles):,}", first, last),
        *(f"{count:,}" for count in counts),
    )


def _stretch(span: Span) -> str:
    return f"{_time(span.first_ms)} to {_time(span.last_ms)}"


def _time(at_ms: int) -> str:
    return f"{from_ms(at_ms):%Y-%m-%d %H:%M}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

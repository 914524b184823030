"""`umbra data` takes candles in, shows them, hands them out, and tells what is wrong with them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from bot.cli import app
from bot.data import wording
from bot.data.progress import ProgressBar
from storage.archive.archive import Archive
from storage.archive.foreign import read_file, write_file
from storage.archive.layout import Month, partition_path
from storage.archive.register import REGISTER
from storage.archive.tail import TAIL, Appended
from storage.archive.writer import writing
from tests.unit.trading.candles.make import BITCOIN, LATER_MS, MINUTE_MS, START_MS, bend, walk
from trading.candles.series import PRICES, SeriesName
from trading.domain.errors import InstanceConflict, Refused
from trading.gateway.candle_history import Unanswered

RUN = CliRunner()
_FORGET = "download or import again; where that cannot be, umbra data repair --forget"
_SERIES = ("--exchange", "binance", "--symbol", "BTC/USDT", "--timeframe", "1m")


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The archive of an installation of its own."""
    for name in [name for name in os.environ if name.startswith("UMBRA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UMBRA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "archive"


def _umbra(*arguments: str) -> Result:
    return RUN.invoke(app, ["data", *arguments])


def _file(folder: Path, name: str = "BINANCE_BTC-USDT_1m.csv", *, spoilt: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    candles = walk(100).take(np.arange(100) // 10 != 3)
    write_file(folder / name, BITCOIN, bend(candles, 70, low=-1.0) if spoilt else candles)
    return folder / name


def test_a_folder_is_imported_listed_and_verified(tmp_path: Path) -> None:
    _file(tmp_path / "in")
    said = _umbra("import", "in")
    assert said.exit_code == 0, said.output
    assert "[1/1] BINANCE_BTC-USDT_1m.csv" in said.output
    assert "binance BTC/USDT 1m: 90 candles read, 90 new, 0 known" in said.output
    assert "90 candles read, 0 new, 90 known" in _umbra("import", "in").output
    assert _umbra("list").output.splitlines() == [
        "exchange  symbol    timeframe  candles  first             last              gaps  missing",
        "binance   BTC/USDT  1m              90  2021-05-01 00:00  2021-05-01 01:39     1       10",
    ]
    verified = _umbra("verify", *_SERIES)
    assert verified.exit_code == 0
    assert verified.output.splitlines() == [
        "binance BTC/USDT 1m: 90 candles, 1 gap, 10 candles missing",
        "  gap 2021-05-01 00:30 to 2021-05-01 00:39: 10 candles",
        "All checksums hold: 1 file, 90 candles, 1 gap",
    ]


def test_an_empty_archive_says_how_to_begin() -> None:
    for command in ("list", "verify"):
        said = _umbra(command)
        assert (said.exit_code, "umbra data import" in said.output) == (0, True)


def test_what_is_refused_is_told_and_the_rest_is_taken(tmp_path: Path, root: Path) -> None:
    _file(tmp_path / "in", spoilt=True)
    (tmp_path / "in" / "BINANCE_ETH-USDT_1m.parquet").write_bytes(b"PAR1 torn")
    said = _umbra("import", "in")
    assert said.exit_code == 1
    assert "1 REFUSED: has a price that is not above 0" in said.output
    assert f"kept apart in {root}/quarantine/binance/BTC-USDT/1m/candles-" in said.output
    assert "REFUSED: BINANCE_ETH-USDT_1m.parquet cannot be read: its end is missing" in said.output
    assert "Copy it once more from where it came, then import it again" in said.output
    assert len(Archive(root).load(BITCOIN).candles) == 89


def test_a_disagreement_is_told(tmp_path: Path) -> None:
    candles = walk(10)
    write_file(tmp_path / "a.parquet", BITCOIN, candles)
    write_file(tmp_path / "b.parquet", BITCOIN, bend(candles, 4, volume=999.0, quote_volume=np.nan))
    assert _umbra("import", "a.parquet").exit_code == 0
    said = _umbra("import", "b.parquet")
    assert "1 REFUSED: disagrees with the candle held" in said.output


def test_a_file_is_named_by_options_where_its_name_says_nothing(tmp_path: Path, root: Path) -> None:
    candles = walk(10)
    write_file(tmp_path / "candles.csv", BITCOIN, candles)
    assert isinstance(_umbra("import", "candles.csv").exception, SystemExit)
    said = _umbra("import", "candles.csv", *_SERIES, "--drop-last")
    assert "1 left out: the newest may have been running" in said.output
    assert len(Archive(root).load(BITCOIN).candles) == 9
    incomplete = _umbra("import", "candles.csv", "--symbol", "BTC/USDT")
    assert isinstance(incomplete.exception, Refused)


@pytest.mark.parametrize("target", ["out.csv", "out.parquet"])
def test_a_stretch_is_exported(target: str, tmp_path: Path) -> None:
    _umbra("import", str(_file(tmp_path / "in")))
    said = _umbra(
        "export", target, *_SERIES, "--since", "2021-05-01T00:25", "--until", "2021-05-02"
    )
    assert said.output == f"65 candles of binance BTC/USDT 1m are in {target}\n"
    (told,) = read_file(tmp_path / target, BITCOIN)
    kept = walk(100).take(np.r_[25:30, 40:100])
    assert told.candles.equals(kept)


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "nowhere"),
        ("import", "."),
        ("export", "out.csv", "--exchange", "binance"),
        ("export", "out.csv", *_SERIES),
        ("combine", *_SERIES, "--with", "kraken", "--to", "nowhere/out.csv"),
        ("export", "out.csv", *_SERIES, "--since", "2021-06-01", "--until", "2021-05-01"),
        ("export", "out.csv", "--exchange", "x y", "--symbol", "BTC/USDT", "--timeframe", "1m"),
        ("export", "out.csv", "--exchange", "binance", "--symbol", "BTC/USDT", "--timeframe", "7m"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments: tuple[str, ...]) -> None:
    assert isinstance(_umbra(*arguments).exception, Refused)


def test_damage_is_found_moved_away_and_mended_by_another_import(
    tmp_path: Path, root: Path
) -> None:
    file = _file(tmp_path / "in")
    _umbra("import", str(file))
    path = partition_path(root, BITCOIN, Month(2021, 5))
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    heading, row = _umbra("list").output.splitlines()
    assert heading.split()[-3:] == ["gaps", "missing", "damaged"]
    assert row.split()[-3:] == ["0", "0", "1"]
    found = _umbra("verify")
    assert found.exit_code == 1
    assert (
        "DAMAGED 2021-05: its end is missing, as after a copy that was broken off" in found.output
    )
    assert "umbra data repair moves them into quarantine; then import or download" in found.output
    assert isinstance(_umbra("export", "out.csv", *_SERIES).exception, Refused)
    path.with_name("2021-05.parquet.unfinished").write_bytes(b"torn")
    repaired = _umbra("repair")
    assert repaired.exit_code == 0
    assert "was half-written and is removed" in repaired.output
    assert "2021-05 was DAMAGED" in repaired.output
    assert not path.exists()
    assert _umbra("repair").output == "Every file is as it was written.\n"
    _umbra("import", str(file))
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-7])
    assert "is in quarantine: import or download it again" in _umbra("import", str(file)).output


def _hours(root: Path) -> SeriesName:
    """Hold May, June and July by hours."""
    hours = SeriesName("binance", "BTC/USDT", "1h")
    with writing(root) as writer:
        writer.store(hours, walk(2000, length_ms=60 * MINUTE_MS), LATER_MS, "a test")
    return hours


def test_lost_months_are_named_by_list_and_verify_until_they_are_back(
    root: Path, tmp_path: Path
) -> None:
    hours = _hours(root)
    write_file(tmp_path / "whole.parquet", hours, Archive(root).load(hours).candles)
    partition_path(root, hours, Month(2021, 6)).write_bytes(b"torn")
    partition_path(root, hours, Month(2021, 7)).unlink()
    assert _umbra("list").exit_code == 1
    said = _umbra("verify")
    assert said.exit_code == 1
    assert "1 damaged: umbra data repair moves them into quarantine" in said.output
    assert "1 month is missing: 2021-07: download or import it again" in said.output
    assert _umbra("repair").exit_code == 0
    for _ in range(2):
        said = _umbra("verify")
        assert said.exit_code == 1
        assert said.output.splitlines() == [
            "binance BTC/USDT 1h: 744 candles, 0 gaps, 0 candles missing",
            "  2 months are missing: 2021-06, 2021-07: download or import them again",
            "All checksums hold: 1 file, 744 candles, 0 gaps",
            f"2 months missing: {_FORGET}",
        ]
        listed = _umbra("list")
        assert listed.exit_code == 1
        assert listed.output.splitlines()[-1] == (
            "binance BTC/USDT 1h: 2 months are missing: 2021-06, 2021-07: download or import them "
            "again"
        )
    _umbra("import", "whole.parquet")
    assert (_umbra("verify").exit_code, _umbra("list").exit_code) == (0, 0)


def test_months_lost_for_good_are_missed_until_that_is_said(root: Path) -> None:
    hours = _hours(root)
    for number in (5, 6, 7):
        partition_path(root, hours, Month(2021, number)).unlink()
    assert "3 months are missing: 2021-05 to 2021-07: " in _umbra("verify").output
    said = _umbra("repair", "--forget")
    assert said.output == "binance BTC/USDT 1h: no longer missed: 2021-05 to 2021-07\n"
    assert _umbra("verify").exit_code == 0


def test_a_register_that_cannot_be_believed_is_told_and_begun_anew(root: Path) -> None:
    _hours(root)
    (root / REGISTER).write_bytes(b"torn")
    said = _umbra("verify")
    assert said.exit_code == 1
    assert f"DAMAGED {REGISTER}: which months were held before is not known" in said.output
    _umbra("repair")
    assert _umbra("verify").exit_code == 0


def test_of_many_gaps_the_longest_are_shown_unless_all_are_wanted(root: Path) -> None:
    is_told = np.ones(200, np.bool_)
    is_told[5:195:5] = False
    is_told[191:194] = False
    with writing(root) as writer:
        writer.store(BITCOIN, walk(200).take(is_told), LATER_MS, "a test")
    lines = _umbra("verify").output.splitlines()
    assert sum(line.startswith("  gap ") for line in lines) == 20
    assert lines[-3].endswith("2021-05-01 03:10 to 2021-05-01 03:13: 4 candles")
    assert lines[-2] == "  18 gaps more, none of them longer: umbra data verify --all"
    assert _umbra("verify", "--all").output.count("  gap ") == 38


def test_a_file_of_which_nothing_is_kept_is_a_file_refused(tmp_path: Path, root: Path) -> None:
    file = _file(tmp_path / "in")
    wrong = walk(100)
    wrong = wrong.replace(volume=wrong.volume * 50_000)
    write_file(tmp_path / "in" / "BINANCE_ETH-USDT_1m.csv", BITCOIN, wrong)
    said = _umbra("import", "in")
    assert said.exit_code == 1
    assert "100 REFUSED: comes with others most of which contradict" in said.output
    assert said.output.count("REFUSED: nothing of the file is kept") == 1
    assert Archive(root).load(BITCOIN).candles.equals(next(iter(read_file(file))).candles)
    # What was known before is no refusal.
    assert _umbra("import", str(file)).exit_code == 0


def test_prices_far_from_other_candles_of_the_symbol_are_refused(tmp_path: Path) -> None:
    _umbra("import", str(_file(tmp_path / "in")))
    fives = walk(20, length_ms=5 * MINUTE_MS)
    pepe = fives.replace(**{name: fives.column(name) / 1e9 for name in (*PRICES, "quote_volume")})
    write_file(tmp_path / "BINANCE_BTC-USDT_5m.csv", BITCOIN, pepe)
    said = _umbra("import", "BINANCE_BTC-USDT_5m.csv")
    assert said.exit_code == 1
    assert (
        "20 REFUSED: has prices far from those held of the symbol in other candles" in said.output
    )


def test_a_list_of_files_beside_the_candles_is_passed_by(tmp_path: Path, root: Path) -> None:
    _file(tmp_path / "in")
    (tmp_path / "in" / "MANIFEST.csv").write_text("file,bytes\nBINANCE_BTC-USDT_1m.csv,7\n")
    said = _umbra("import", "in")
    assert said.exit_code == 0, said.output
    assert "MANIFEST.csv\n  passed by: it holds no candles\n" in said.output
    assert len(Archive(root).load(BITCOIN).candles) == 90
    alone = _umbra("import", "in/MANIFEST.csv")
    assert (alone.exit_code, "REFUSED: MANIFEST.csv should have" in alone.output) == (1, True)
    (tmp_path / "in" / "BINANCE_ETH-USDT_1m.csv").write_text("file,bytes\na,7\n")
    named = _umbra("import", "in")
    assert (named.exit_code, "REFUSED: BINANCE_ETH-USDT_1m.csv" in named.output) == (1, True)


@pytest.mark.parametrize("has_manifest", [False, True])
def test_of_a_folder_above_the_candles_those_below_it_are_taken(
    has_manifest: bool, tmp_path: Path, root: Path
) -> None:
    above = tmp_path / "above"
    above.mkdir()
    if has_manifest:
        (above / "MANIFEST.csv").write_text("file,bytes\na,7\n")
    assert "holds no candles in files that end in" in str(_umbra("import", "above").exception)
    (above / "notes").mkdir()
    (above / "notes" / "trades.csv").write_text("price\n7\n")
    assert "holds no candles in files that end in" in str(_umbra("import", "above").exception)
    _file(above / "ohlcv")
    (above / "more" / "deep").mkdir(parents=True)
    ether = above / "more" / "deep" / "BINANCE_ETH-USDT_1m.csv"
    write_file(ether, SeriesName("binance", "ETH/USDT", "1m"), walk(10))
    if not has_manifest:
        # Under one name candles of several folders hardly belong.
        said = _umbra("import", "above", *_SERIES).exception
        assert isinstance(said, Refused)
        assert "lie below it, in more/deep (1), ohlcv (1): name the folder" in str(said)
    said = _umbra("import", "above")
    assert said.exit_code == 0, said.output
    assert "Below above, candles are taken from more/deep (1), ohlcv (1)" in said.output
    assert "[2/2] ohlcv/BINANCE_BTC-USDT_1m.csv" in said.output
    assert [name.symbol for name in Archive(root).series()] == ["BTC/USDT", "ETH/USDT"]


def test_no_folder_is_made_for_an_export(tmp_path: Path) -> None:
    _umbra("import", str(_file(tmp_path / "in")))
    said = _umbra("export", "nowhere/deep/out.csv", *_SERIES).exception
    assert str(said) == "there is no folder nowhere/deep: make it first, or name another"
    assert not (tmp_path / "nowhere").exists()


def test_a_half_written_append_is_found_kept_apart_and_told(tmp_path: Path, root: Path) -> None:
    with writing(root) as writer:
        writer.append([(BITCOIN, walk(5))], LATER_MS, "a test")
        whole = (root / TAIL).read_bytes()
        following = walk(5, start_ms=START_MS + 5 * MINUTE_MS)
        writer.append([(BITCOIN, following)], LATER_MS, "a test")
    assert "binance BTC/USDT 1m: 10 candles" in _umbra("verify").output
    (root / TAIL).write_bytes((root / TAIL).read_bytes()[:-1])
    found = _umbra("verify")
    assert found.exit_code == 1
    assert "binance BTC/USDT 1m: 5 candles, 0 gaps" in found.output
    assert f"DAMAGED {TAIL}: its last " in found.output
    said = _umbra("import", str(_file(tmp_path / "in")))
    assert "The last candles appended were half-written, as after a kill" in said.output
    (kept,) = (root / "quarantine").glob("appended-*.tail")
    assert not kept.read_bytes().startswith(whole)
    assert _umbra("verify").exit_code == 0
    assert _umbra("repair").output == "Every file is as it was written.\n"


def test_a_batch_that_is_being_appended_is_no_damage(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(root) as writer:
        writer.append([(BITCOIN, walk(5))], LATER_MS, "a test")
    whole = (root / TAIL).read_bytes()
    (root / TAIL).write_bytes(whole[:-1])
    honest, looks = wording.tail_damage, []

    def look(appended: Appended) -> str | None:
        found = honest(appended)
        looks.append(found)
        # The writer comes to its end between the two looks.
        (root / TAIL).write_bytes(whole)
        return found

    monkeypatch.setattr(wording, "tail_damage", look)
    assert _umbra("verify").exit_code == 0
    assert [found is None for found in looks] == [False, True]


def test_what_was_never_asked_for_is_shown_apart_from_gaps(tmp_path: Path) -> None:
    whole = walk(100)
    for number, part in enumerate((slice(0, 10), slice(60, 100))):
        write_file(tmp_path / f"{number}.parquet", BITCOIN, whole.take(part))
        _umbra("import", f"{number}.parquet")
    assert _umbra("verify").output.splitlines() == [
        "binance BTC/USDT 1m: 50 candles, 0 gaps, 0 candles missing",
        "  never asked for 2021-05-01 00:10 to 2021-05-01 00:59",
        "All checksums hold: 1 file, 50 candles, 0 gaps",
    ]
    said = _umbra("verify", "--exchange", "kraken")
    assert isinstance(said.exception, Refused)
    assert "holds no kraken; no name is near it" in str(said.exception)


def test_a_second_writer_is_told_who_writes(tmp_path: Path, root: Path) -> None:
    with writing(root):
        said = _umbra("import", str(_file(tmp_path / "in")))
    assert isinstance(said.exception, InstanceConflict)


def test_a_series_is_found_as_people_write_it_and_near_ones_are_offered(tmp_path: Path) -> None:
    _umbra("import", str(_file(tmp_path / "in")))
    written = ("--exchange", "Binance", "--symbol", "btc-usdt", "--timeframe", "1m")
    assert "90 candles of binance BTC/USDT 1m" in _umbra("export", "out.csv", *written).output
    other = ("--exchange", "binance", "--symbol", "BTC/USDC", "--timeframe", "1m")
    said = _umbra("export", "out.csv", *other).exception
    assert isinstance(said, Refused)
    assert said.example == "BTC/USDT"
    longer = ("--exchange", "binance", "--symbol", "BTC/USDT", "--timeframe", "1h")
    said = _umbra("export", "out.csv", *longer).exception
    assert isinstance(said, Refused)
    assert said.near == ("binance BTC/USDT 1m",)


def _two_exchanges(root: Path) -> None:
    whole = walk(100)
    kraken = SeriesName("kraken", "BTC/USD", "1m")
    dear = whole.replace(**{name: whole.column(name) * 1.001 for name in PRICES})
    with writing(root) as writer:
        writer.store(BITCOIN, whole.take(np.r_[40:60, 70:100]), LATER_MS, "a test")
        writer.store(kraken, dear, LATER_MS, "a test")
        writer.store(
            SeriesName("bitstamp", "BTC/USDT", "1m"), whole.take(slice(0, 9)), LATER_MS, "a test"
        )


def test_other_exchanges_fill_what_one_lacks_and_each_candle_says_whose_it_is(
    root: Path, tmp_path: Path
) -> None:
    _two_exchanges(root)
    said = _umbra("combine", *_SERIES, "--with", "kraken:btcusd", "--to", "out.csv")
    assert said.output.splitlines() == [
        "binance BTC/USDT 1m: 100 candles, 2021-05-01 00:00 to 2021-05-01 01:39",
        "  50 candles of binance BTC/USDT 1m",
        "  50 candles of kraken BTC/USD 1m: 40 before the first, 10 in gaps",
        "    compared at 50 times: closes are +0.10 % in the middle, nowhere more than 1% apart",
        "100 candles of combined BTC/USDT 1m are in out.csv",
    ]
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0].endswith(",source")
    owners = [line.rsplit(",", 1)[1] for line in lines[1:]]
    kraken, binance = ["kraken BTC/USD"], ["binance BTC/USDT"]
    assert owners == kraken * 40 + binance * 20 + kraken * 10 + binance * 30
    assert len(Archive(root).load(BITCOIN).candles) == 50


def test_a_combined_history_is_listed_with_its_parts(root: Path) -> None:
    _two_exchanges(root)
    _umbra("combine", *_SERIES, "--with", "bitstamp", "--with", "kraken:BTC/USD")
    _umbra("combine", *_SERIES, "--with", "kraken:BTC/USD")
    assert _umbra("list").output.splitlines()[4:] == [
        "combined BTC/USDT 1m: 100 candles, 2021-05-01 00:00 to 2021-05-01 01:39",
        "  50 candles of binance BTC/USDT 1m, which leads",
        "  50 candles of kraken BTC/USD 1m: 40 before the first, 10 in gaps",
    ], "the newest of what one exchange leads, as it is now"
    partition_path(root, SeriesName("kraken", "BTC/USD", "1m"), Month(2021, 5)).write_bytes(b"torn")
    [line] = _umbra("list").output.splitlines()[4:]
    assert line.startswith("combined BTC/USDT 1m of binance BTC/USDT 1m, kraken BTC/USD 1m: ")
    assert "has damaged months" in line
    assert _umbra("verify").exit_code == 1, "and nothing else is disturbed by it"


def test_a_combined_file_is_read_in_as_nobodys_own_history(root: Path, tmp_path: Path) -> None:
    _two_exchanges(root)
    _umbra("combine", *_SERIES, "--with", "kraken:BTC/USD", "--to", "out.parquet")
    assert "combined BTC/USDT 1m: 100 candles read" in _umbra("import", "out.parquet").output
    assert len(Archive(root).load(BITCOIN).candles) == 50


def test_what_nobody_can_compare_is_not_combined_and_told(root: Path) -> None:
    _two_exchanges(root)
    said = _umbra("combine", *_SERIES, "--with", "bitstamp").output
    assert "  0 candles of bitstamp BTC/USDT 1m" in said
    assert "NOTHING TAKEN: no candle at a time of which others have one" in said
    for wrong in (("--with", "binance"), ("--with", "krakn:BTC/USD")):
        assert isinstance(_umbra("combine", *_SERIES, *wrong).exception, Refused)
    partition_path(root, BITCOIN, Month(2021, 5)).write_bytes(b"torn")
    said = _umbra("combine", *_SERIES, "--with", "kraken:BTC/USD").exception
    assert "has damaged months" in str(said)


def test_a_download_from_the_future_is_refused_before_anything_is_sent() -> None:
    said = _umbra("download", *_SERIES, "--since", "2199-01-01", "--rest-url", "http://127.0.0.1:1")
    assert isinstance(said.exception, Refused)
    assert "--since should lie in the past" in str(said.exception)


@pytest.mark.parametrize("at", ["1950-01-01", "1969-12-31", "2009-12-31"])
@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_download_from_before_any_exchange_is_refused_by_its_date(option: str, at: str) -> None:
    said = _umbra("download", *_SERIES, option, at, "--rest-url", "http://127.0.0.1:1").exception
    assert isinstance(said, Refused)
    assert f"{option} should not lie before 2010, when no exchange existed yet, was {at}" in str(
        said
    )
    assert said.example == f"{option} 2021-05-01"


@pytest.mark.parametrize(
    "url", ["notaurl", "127.0.0.1:8090", "ftp://127.0.0.1", "http://", "http://a:99999", "http://["]
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    said = _umbra("download", *_SERIES, "--rest-url", url)
    assert isinstance(said.exception, Refused)
    assert "should begin with http:// or https:// and name a host" in str(said.exception)


def test_a_candle_that_runs_now_is_not_stored(tmp_path: Path, root: Path) -> None:
    from bot.clock import now_ms

    start_ms = now_ms() // MINUTE_MS * MINUTE_MS - 3 * MINUTE_MS
    write_file(tmp_path / "now.parquet", BITCOIN, walk(5, start_ms=start_ms))
    said = _umbra("import", "now.parquet")
    held = len(Archive(root).load(BITCOIN).candles)
    # The minute may end between the two looks at the clock.
    assert held in {3, 4}
    assert "REFUSED: opens in the future" in said.output
    assert "1 left out: not closed yet" in said.output


def test_an_exchange_that_does_not_exist_is_refused_before_anything_is_sent() -> None:
    said = _umbra(
        *("download", "--exchange", "binanse", "--symbol", "BTC/USDT", "--timeframe", "1m")
    )
    assert isinstance(said.exception, Refused)
    assert "near it are binance" in str(said.exception)


def test_the_bar_adds_up_and_lines_are_said_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("binance BTC/USDT 1m") as bar:
        bar.advance(5)
        bar.begin(0)
        bar.begin(200)
        bar.advance(150)
        bar.advance(50)
        bar.say("a [line] said")
    shown = capsys.readouterr().err
    assert "a [line] said" in shown
    assert "200/200" in shown


def test_a_bar_that_stands_still_says_why_and_moves_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = Unanswered("the exchange does not answer", 3, 8, 4.0)
    line = wording.unanswered(waiting)
    assert line == "the exchange does not answer: try 3 of 8, next in 4 s"
    with ProgressBar("binance BTC/USDT 1m") as bar:
        bar.stand_still(wording.unanswered(None))
        bar.stand_still(line)
        bar.stand_still(None)
    assert capsys.readouterr().err == f"{line}\n"
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "80"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    with ProgressBar("[binance] BTC/USDT 1m") as bar:
        bar.stand_still(None)
        bar.stand_still(line)
        bar._bar.refresh()
        bar.stand_still(None)
        bar.begin(200)
        bar.advance(200)
    shown = capsys.readouterr().err
    assert f"{line} " in shown
    assert shown.rindex("[binance] BTC/USDT 1m") > shown.rindex(line)
    assert "200/200" in shown


def test_the_command_line_starts_without_what_only_candles_need() -> None:
    heavy = "{'numpy', 'pyarrow', 'ccxt', 'rich', 'sqlalchemy'}"
    program = f"import sys, bot.cli; print(sorted({heavy} & set(sys.modules)))"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "[]\n"

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
from storage.archive.tail import TAIL, Appended
from storage.archive.writer import writing
from tests.unit.trading.candles.make import BITCOIN, LATER_MS, MINUTE_MS, START_MS, bend, walk
from trading.candles.series import PRICES, SeriesName
from trading.domain.errors import InstanceConflict, Refused

RUN = CliRunner()
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
    write_file(tmp_path / "b.parquet", BITCOIN, bend(candles, 4, volume=999.0))
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
    assert "0 damaged" in " ".join(_umbra("list").output.split())
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


def test_the_command_line_starts_without_what_only_candles_need() -> None:
    heavy = "{'numpy', 'pyarrow', 'ccxt', 'rich', 'sqlalchemy'}"
    program = f"import sys, bot.cli; print(sorted({heavy} & set(sys.modules)))"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "[]\n"

"""Files that were made to be sent do not fill the disk."""

import os
from pathlib import Path

from bot.handed_out import keep_newest


def made(folder: Path, name: str, at_s: int) -> None:
    (folder / name).touch()
    os.utime(folder / name, (at_s, at_s))


def test_the_newest_files_stay_and_what_a_death_left_unfinished_counts(tmp_path: Path) -> None:
    for number in range(6):
        made(tmp_path, f"fills-{number}.csv", number)
    made(tmp_path, "fills-9.parquet.unfinished", 0)
    keep_newest(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fills-4.csv", "fills-5.csv"]


def test_other_files_of_a_folder_are_left_alone(tmp_path: Path) -> None:
    for number in range(3):
        made(tmp_path, f"{number}.png", number)
    made(tmp_path, "report.csv", 0)
    keep_newest(tmp_path, 1, "*.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.png", "report.csv"]


def test_a_folder_that_is_not_there_is_made_and_fewer_files_than_are_kept_stay(
    tmp_path: Path,
) -> None:
    keep_newest(tmp_path / "exports", 2)
    made(tmp_path / "exports", "a", 0)
    keep_newest(tmp_path / "exports", 2)
    assert (tmp_path / "exports" / "a").exists()

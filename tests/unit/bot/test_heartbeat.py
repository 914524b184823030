"""`umbra health` believes only a fresh sign of life."""

from datetime import timedelta
from pathlib import Path

from bot import heartbeat
from tests.builders import NOON


def test_a_fresh_sign_of_life_is_healthy(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=True, note="3 trackers")
    verdict = heartbeat.check(tmp_path, NOON + timedelta(seconds=5), is_served=True)
    assert verdict.is_healthy
    assert "3 trackers" in verdict.text


def test_an_old_one_means_that_nobody_watches(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=True, note="")
    verdict = heartbeat.check(tmp_path, NOON + timedelta(seconds=16), is_served=True)
    assert not verdict.is_healthy
    assert "not watched" in verdict.text


def test_a_fresh_sign_of_a_process_that_is_gone_is_not_healthy(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=True, note="3 trackers")
    verdict = heartbeat.check(tmp_path, NOON + timedelta(seconds=5), is_served=False)
    assert not verdict.is_healthy
    assert "nobody is there, last sign of life 5 s ago" in verdict.text


def test_running_but_unwell_is_not_healthy(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=False, note="storage lost")
    verdict = heartbeat.check(tmp_path, NOON, is_served=True)
    assert (verdict.is_healthy, verdict.text) == (False, "running, but not well: storage lost")


def test_no_file_or_a_broken_one_is_not_healthy(tmp_path: Path) -> None:
    assert not heartbeat.check(tmp_path, NOON, is_served=True).is_healthy
    (tmp_path / "heartbeat.json").write_text("{")
    assert not heartbeat.check(tmp_path, NOON, is_served=True).is_healthy


def test_the_last_sign_of_an_orderly_end_says_so(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=False, note="stopped", is_stopped=True)
    verdict = heartbeat.check(tmp_path, NOON + timedelta(seconds=60), is_served=True)
    assert not verdict.is_healthy
    assert "good order 60 s ago" in verdict.text

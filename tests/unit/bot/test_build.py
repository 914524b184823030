"""Two programs, or two ways to set one, have two names; a secret is never part of a name."""

from decimal import Decimal
from pathlib import Path

import pytest

from bot import build as naming
from bot.build import build, configured
from bot.config import Settings
from tests.catalogue import fired

SECRET = "canary-of-a-secret"  # made up, to be looked for


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is remembered from another test."""
    build.cache_clear()


def program(folder: Path, rule: str) -> Path:
    """A program of one module."""
    (folder / "trading").mkdir(parents=True)
    (folder / "trading" / "rules.py").write_text(rule)
    return folder


@pytest.mark.fault("P11", "SAID")
def test_two_programs_of_one_version_have_two_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = []
    for number, rule in enumerate(("is_true = price < stop", "is_true = price <= stop")):
        monkeypatch.setattr(naming, "_ROOT", program(tmp_path / str(number), rule))
        build.cache_clear()
        names.append(build())
    fired(set(names[1:]) - {names[0]})


def test_the_same_program_has_the_same_name_wherever_it_lies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = set()
    for place in ("here", "there"):
        monkeypatch.setattr(naming, "_ROOT", program(tmp_path / place, "x = 1"))
        build.cache_clear()
        names.add(build())
    assert len(names) == 1
    assert len(names.pop()) == 12


@pytest.mark.fault("P11", "SAID")
def test_what_is_set_is_named_and_differs_with_its_value(tmp_path: Path) -> None:
    plain = Settings(data_dir=tmp_path)
    assert configured(plain) == ()
    one = configured(plain.model_copy(update={"order_notional_max": Decimal(100)}))
    other = configured(plain.model_copy(update={"order_notional_max": Decimal(1000)}))
    assert one[0].startswith("UMBRA_ORDER_NOTIONAL_MAX=")
    fired({*other} - {*one})


def test_of_a_secret_only_that_it_is_set_is_told(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        telegram_token=SECRET,  # type: ignore[arg-type]
        second_channel_urls=SECRET,  # type: ignore[arg-type]
    )
    assert configured(settings) == (
        "UMBRA_SECOND_CHANNEL_URLS=set",
        "UMBRA_TELEGRAM_TOKEN=set",
    )

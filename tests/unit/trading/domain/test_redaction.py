"""Secrets are found whole, broken and cut off; everything else stays as it was."""

import pytest

from trading.domain.redaction import masking, masking_foreign, masking_typed, passwords_of

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsW2.(+*?"


@pytest.mark.parametrize("gap", [" ", "   ", "\n", "\t", "\u00a0", "\u200b", "\u00ad", "\ufeff"])
@pytest.mark.parametrize("place", [1, 12, len(KEY) - 1])
def test_a_secret_that_was_pasted_with_a_gap_is_found(gap: str, place: int) -> None:
    masked = masking_typed((KEY,), "[kept back]")
    said = f"my key: {KEY[:place]}{gap}{KEY[place:]} thanks"
    assert masked(said) == "my key: [kept back] thanks"
    assert masked(f"{said} {said}").count("[kept back]") == 2
    assert masked(" ".join(KEY)) == "[kept back]"
    assert masked(KEY) == "[kept back]"


def test_figures_that_look_like_a_short_password_with_spaces_are_left_alone() -> None:
    masked = masking_typed(("123456", "abcdef"), "[kept back]")
    assert masked("/sell BTC/USDT 123 456") == "/sell BTC/USDT 123 456"
    assert masked("123456") == "[kept back]"


def test_what_holds_no_secret_stays_as_it_was_typed() -> None:
    masked = masking_typed((KEY,), "[kept back]")
    text = f"{KEY[:-1]}  \n and  more "
    assert masked(text) == text


FOREIGN = masking_foreign((KEY, "hunter2"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"Invalid API-key {KEY}, ip: 1.2.3.4", "Invalid API-key •••, ip: 1.2.3.4"),
        (f"{KEY}{KEY}", "••••••"),
        (f"was '{KEY[:20]}…", "was '•••…"),
        (f"was '{KEY[:9]}", "was '•••"),
        (f"{KEY[:20]} and {KEY[:10]}.", "••• and •••."),
        (f"{KEY[:5]} {KEY[5:]}", "•••"),
        ("in %2A: vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsW2.%28%2B%2A%3F", "in %2A: •••"),
        ("the password hunter2 is wrong", "the password ••• is wrong"),
        ("hunter is no secret", "hunter is no secret"),
        (f"GET /api?x=1&signature={'ab' * 32} failed", "GET /api?x=1&signature=••• failed"),
        ('{"signature": "c2lnbmF0dXJlc2lnbmF0dXJl+/=="}', '{"signature": "•••"}'),
        ("Signature for this request is not valid.", "Signature for this request is not valid."),
        ("connect to https://ada:pw@host:1/x", "connect to https://•••@host:1/x"),
        ("ada@example.com, http://host/a@b", "ada@example.com, http://host/a@b"),
        ("", ""),
    ],
)
def test_of_what_others_say_no_secret_is_left_however_it_is_written(said: str, told: str) -> None:
    assert FOREIGN(said) == told
    # Whoever is told of it hands it on.
    assert FOREIGN(told) == told


def test_whoever_has_no_secret_changes_no_word() -> None:
    for nobody in (masking(("", "short")), masking_foreign(("", ""))):
        assert nobody("Filter failure: LOT_SIZE short") == "Filter failure: LOT_SIZE short"


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("postgresql+asyncpg://umbra:p%40ss@host/umbra", ("p%40ss",)),
        ("postgresql+asyncpg://host/umbra?password=pass&sslmode=require", ("pass",)),
        ("sqlite+aiosqlite:////home/me/umbra.db", ()),
        ("https://[broken", ()),
    ],
)
def test_the_passwords_of_an_address_are_found_before_and_after_its_host(
    url: str, passwords: tuple[str, ...]
) -> None:
    assert passwords_of(url) == passwords

"""Codes are those of RFC 6238, for a step and its neighbours."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.totp import code_of, matching_step, read_secret, step_at

# RFC 6238, appendix B.
SECRET = b"12345678901234567890"
VECTORS = {
    59: "94287082",
    1_111_111_109: "07081804",
    1_111_111_111: "14050471",
    1_234_567_890: "89005924",
    2_000_000_000: "69279037",
    20_000_000_000: "65353130",
}


@pytest.mark.parametrize(("seconds", "code"), VECTORS.items())
def test_the_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    step = step_at(datetime.fromtimestamp(seconds, UTC))
    assert code_of(SECRET, step, digits=8) == code
    assert code_of(SECRET, step) == code[2:]


def test_a_code_counts_in_its_own_step_and_its_neighbours() -> None:
    at = datetime.fromtimestamp(1_111_111_111, UTC)
    step = step_at(at)
    for away, is_right in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = code_of(SECRET, step_at(at + timedelta(seconds=30 * away)))
        assert (matching_step(SECRET, code, at) == step + away) == is_right


@pytest.mark.parametrize("code", ["", "05047", "0504711", "O50471", "٠٥٠٤٧١"])
def test_what_is_no_code_matches_nothing(code: str) -> None:
    assert matching_step(SECRET, code, datetime.fromtimestamp(1_111_111_111, UTC)) is None


@pytest.mark.parametrize(
    "text",
    [
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
        "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ",
    ],
)
def test_a_secret_is_read_as_apps_show_it(text: str) -> None:
    assert read_secret(text) == SECRET


@pytest.mark.parametrize(
    ("text", "words"), [("GEZD1", "base32"), ("", "at least"), ("GEZDGNBV", "had 5"), ("ß", "base")]
)
def test_a_short_or_strange_secret_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_secret(text)

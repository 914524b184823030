"""A process takes as many descriptors as the machine allows it, and no fewer than it had."""

import resource
from types import SimpleNamespace

import pytest

from bot import descriptors

ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((256, 4096), (4096, 4096)),
        ((1024, 1_048_576), (65_536, 1_048_576)),
        ((1024, ENDLESS), (65_536, ENDLESS)),
        ((100_000, 1_048_576), (100_000, 1_048_576)),
        ((64, 64), (64, 64)),
        ((ENDLESS, ENDLESS), (ENDLESS, ENDLESS)),
    ],
)
def test_the_limit_is_raised_to_what_is_allowed_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], after: tuple[int, int]
) -> None:
    found = [before]
    fake = SimpleNamespace(
        RLIMIT_NOFILE=7,
        RLIM_INFINITY=ENDLESS,
        getrlimit=lambda _: found[-1],
        setrlimit=lambda _, limits: found.append(limits),
    )
    monkeypatch.setattr(descriptors, "resource", fake)
    descriptors.raise_limit()
    assert found[-1] == after

"""What a terminal is told of a start that succeeded."""

from dataclasses import replace
from pathlib import Path

from bot.control import wording
from tests.fakes.clock import FakeClock
from tests.fakes.desk import FakeDesk


def test_a_start_says_in_one_line_what_runs_and_whether_it_is_real_money() -> None:
    desk = FakeDesk(FakeClock())
    view = replace(desk.status(), mode="live", exchange="binance", is_simulated=False)
    halt_file = Path("/var/lib/umbra/HALT")
    assert wording.runs(view, "1.2", 3, halt_file) == (
        "Umbra 1.2 runs (REAL MONEY): live on binance, active; 3 trackers watched. "
        "It logs to standard error; a file /var/lib/umbra/HALT halts it."
    )
    simulated = wording.runs(replace(view, is_simulated=True), "1.2", 1, halt_file)
    assert "(no real money): SIMULATED, live on binance, active; 1 tracker watched." in simulated
    assert "\n" not in simulated

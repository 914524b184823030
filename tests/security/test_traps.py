"""Z-03: nothing calls an endpoint that moves money out, and the trap that says so works."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.gateway.worlds import MachineClock, control, settings_of, shown, simulated
from trading.gateway import create_gateway

REPOSITORY = Path(__file__).resolve().parents[2]
_FORBIDDEN = re.compile(r"withdraw|transfer|sub_?account|api_?key_?(create|delete)", re.IGNORECASE)
_ADDRESS = re.compile(r"/?s?api/")
# Rights that are read.
_READ_ONLY = {"can_withdraw", "can_transfer"}
# The paper account's own books.
_IN_MEMORY = {("paper.py", "transfer")}


def _calls(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and _FORBIDDEN.search(node.attr):
                yield path.name, node.attr
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and _ADDRESS.match(text) and _FORBIDDEN.search(text):
                yield path.name, text


def test_z03_no_line_of_the_gateway_names_a_call_that_moves_money() -> None:
    # No other package reaches an exchange: tests/architecture keeps ccxt and HTTP there.
    named = set(_calls(REPOSITORY / "trading" / "gateway"))
    assert {name for _, name in named - _IN_MEMORY} <= _READ_ONLY


def test_z03_such_a_line_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "thief.py").write_text('api.withdraw("BTC")\nget("/sapi/v1/asset/transfer")\n')
    assert [name for _, name in _calls(tmp_path)] == ["withdraw", "/sapi/v1/asset/transfer"]


async def test_z03_everything_that_a_gateway_can_be_asked_springs_no_trap() -> None:
    async with simulated() as sim:
        gateway = create_gateway(settings_of(sim), MachineClock())
        await gateway.connect()
        try:
            await gateway.account_id()
            await gateway.permissions()
            await gateway.balances()
            await gateway.clock_offset_ms()
        finally:
            await gateway.close()
        assert await shown(sim, "traps") == {"count": 0, "requests": []}


@pytest.mark.slow
def test_z03_a_test_whose_agent_springs_a_trap_fails(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("pytest_plugins = ('tests.traps',)")
    pytester.makepyfile(
        """
        import pytest

        def opened():
            import tests.traps
            tests.traps._noted.append([{"path": "/sapi/v1/capital/withdraw/apply"}])

        def test_thief():
            opened()

        @pytest.mark.springs_traps
        def test_of_the_trap():
            opened()

        def test_honest():
            pass
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3, errors=1)


@pytest.mark.springs_traps
async def test_z03_every_exchange_of_this_process_is_watched() -> None:
    from tests import traps

    async with simulated() as sim:
        [noted] = traps._noted
        await control(sim, "permissions", {})
        assert noted == []

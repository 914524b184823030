"""The async shell of execution: one object that owns every order in flight."""

from trading.execution.engine.giving_up import BY_PERSON
from trading.execution.engine.shell import ExecutionEngine
from trading.execution.excess import Excess
from trading.execution.ladder import HELD

__all__ = ["BY_PERSON", "HELD", "Excess", "ExecutionEngine"]

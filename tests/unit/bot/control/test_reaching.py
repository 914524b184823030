"""A command reaches the agent that runs, waits for one that starts, and acts alone without one."""

import pytest

from bot.control.messages import Ask, Reply, Request
from bot.control.reaching import reach
from bot.control.sockets import NobodyListens
from tests.fakes.desk import START
from tests.fakes.memory_store import SettableClock
from trading.domain.errors import DirectoryInUse, Refused


class Machine:
    """An agent that starts, or none; time passes only while somebody waits."""

    def __init__(self, *, listens_after_s: float, is_held: bool = True) -> None:
        self.clock = SettableClock(START)
        self.began_s = self.clock.monotonic()
        self.listens_after_s = listens_after_s
        self.is_held = is_held
        self.ends_when_waited_for = False
        self.said: list[str] = []
        self.done: list[str] = []

    def ask(self, request: Request) -> Reply:
        if self.clock.monotonic() - self.began_s < self.listens_after_s:
            raise NobodyListens("no agent serves here")
        self.done.append("agent")
        return Reply(True, request.ask.value)

    def act_alone(self, request: Request) -> Reply:
        if self.is_held:
            text = "the directory is in use by pid 42 on host; stop that one first"
            raise DirectoryInUse("pid 42 on host", text)
        self.done.append("alone")
        return Reply(True, request.ask.value)

    def reach(self, wanted: Ask) -> Reply:
        return reach(
            Request(wanted, "request-1"),
            self.ask,
            self.act_alone,
            self.say,
            self.clock,
            self.pass_by,
        )

    def say(self, text: str) -> None:
        self.said.append(text)
        self.is_held = self.is_held and not self.ends_when_waited_for

    def pass_by(self, seconds: float) -> None:
        self.clock.seconds += seconds


@pytest.mark.parametrize("wanted", Ask)
def test_an_agent_that_runs_is_asked_and_nothing_is_said_beside_its_answer(wanted: Ask) -> None:
    machine = Machine(listens_after_s=0)
    assert machine.reach(wanted).is_done
    assert (machine.done, machine.said) == (["agent"], [])


@pytest.mark.parametrize("wanted", Ask)
def test_without_an_agent_the_command_answers_alone(wanted: Ask) -> None:
    machine = Machine(listens_after_s=1e9, is_held=False)
    assert machine.reach(wanted).is_done
    assert machine.done == ["alone"]


@pytest.mark.parametrize("wanted", [Ask.STATUS, Ask.PREVIEW, Ask.PREVIEW_RESUME, Ask.RESUME])
def test_a_look_or_a_resume_while_the_agent_starts_says_so_and_asks_nobody_to_stop_it(
    wanted: Ask,
) -> None:
    reply = Machine(listens_after_s=5).reach(wanted)
    assert not reply.is_done
    assert "(pid 42 on host) is starting" in reply.text
    assert "Ask again in a moment" in reply.text
    assert "stop that one" not in reply.text


@pytest.mark.parametrize("wanted", [Ask.HALT, Ask.PANIC])
def test_a_halt_or_a_panic_waits_until_the_agent_that_starts_answers(wanted: Ask) -> None:
    machine = Machine(listens_after_s=7)
    assert machine.reach(wanted).is_done
    assert machine.done == ["agent"]
    [said] = machine.said
    assert "acts as soon as it answers" in said


def test_an_agent_that_ends_while_it_starts_leaves_the_panic_to_the_command() -> None:
    machine = Machine(listens_after_s=1e9)
    machine.ends_when_waited_for = True
    assert machine.reach(Ask.PANIC).is_done
    assert machine.done == ["alone"]


def test_a_panic_does_not_wait_for_ever_and_names_a_way_forward() -> None:
    machine = Machine(listens_after_s=1e9)
    with pytest.raises(Refused, match=r"pid 42 on host.*nothing was done.*kill -9") as refused:
        machine.reach(Ask.PANIC)
    assert refused.value.example == "umbra panic"
    assert 29 <= machine.clock.monotonic() - machine.began_s <= 31

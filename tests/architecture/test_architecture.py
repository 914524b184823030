"""The architecture as it is stated, checked on every source file."""

import subprocess
from pathlib import Path

import pytest

from tests.architecture import checks

# They reach no line of the product, and reading all of it takes twice as long where lines count.
pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def modules() -> list[checks.Module]:
    found = checks.read_modules(REPOSITORY)
    assert found, "no module was read, so nothing would be checked"
    return found


def test_imports_go_one_way(modules: list[checks.Module]) -> None:
    assert checks.wrong_directions(modules) == []


def test_nothing_imports_the_bot_and_trading_knows_no_storage(
    modules: list[checks.Module],
) -> None:
    assert checks.imports_of_bot(modules) == []


def test_a_library_is_known_to_its_package_alone(modules: list[checks.Module]) -> None:
    assert checks.strange_libraries(modules) == []


def test_only_the_settings_read_the_environment(modules: list[checks.Module]) -> None:
    assert checks.environment_reads(modules) == []


def test_every_queue_is_bounded(modules: list[checks.Module]) -> None:
    assert checks.unbounded_queues(modules) == []
    assert checks.bounds_of_nothing(modules) == []


def test_only_the_shells_wait(modules: list[checks.Module]) -> None:
    assert checks.async_outside_shells(modules) == []


def test_no_module_imports_itself_through_others(modules: list[checks.Module]) -> None:
    assert checks.import_cycles(modules) == []


def test_no_code_below_the_composition_root_asks_for_the_mode(
    modules: list[checks.Module],
) -> None:
    assert checks.mode_questions(modules) == []


def test_functions_fit_on_a_screen() -> None:
    everything = checks.read_modules(REPOSITORY, (*checks.PACKAGES, "tests", "benchmarks"))
    assert checks.long_functions(everything) == []


def test_every_module_says_what_it_is_for() -> None:
    everything = checks.read_modules(REPOSITORY, (*checks.PACKAGES, "tests", "benchmarks"))
    assert checks.modules_without_purpose(everything) == []


def test_every_folder_of_the_product_is_a_package(modules: list[checks.Module]) -> None:
    assert checks.folders_without_init(modules) == []


def test_modules_are_named_for_what_they_hold() -> None:
    everything = checks.read_modules(REPOSITORY, (*checks.PACKAGES, "tests", "benchmarks"))
    assert checks.empty_names(everything) == []


def test_no_committed_file_names_an_index_or_the_machine_it_was_written_on() -> None:
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout, so what is committed is not known")
    paths = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    assert paths
    assert checks.foreign_words(path for path in paths if path.is_file()) == []

"""The pytest side of the catalogue: judge marked tests by their evidence, and note the results."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.catalogue import evidence, results
from tests.catalogue.faults import FAULTS, WORDS

_PROPERTY = "faults"


class Notes:
    """Collects the ends of marked tests and writes them down when the run is over."""

    def __init__(self) -> None:
        self._state = results.state_of_sources()
        self._found: dict[str, results.Result] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep how a marked test ended; what fails or skips in its set-up counts as well."""
        seen = dict(report.user_properties).get(_PROPERTY)
        if seen is not None and (report.when == "call" or not report.passed):
            self._found[report.nodeid] = results.Result(report.outcome, dict(seen))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the results beside those of other runs."""
        results.add(session.config.rootpath, self._state, self._found)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known; the process that hands tests out also notes their results."""
    config.addinivalue_line("markers", "fault(id, words): proves a row of the catalogue of faults")
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.pluginmanager.register(Notes(), "fault-notes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse ids and words that the catalogue does not know."""
    for item in items:
        claims = evidence.claims_of(item)
        for fault_id, words in claims.items():
            if fault_id not in FAULTS:
                raise pytest.UsageError(f"{item.nodeid}: no fault {fault_id!r} in the catalogue")
            strange = [word for word in words if word not in FAULTS[fault_id].words]
            if strange:
                why = "is owed by" if set(strange) <= WORDS.keys() else "is an outcome of"
                raise pytest.UsageError(f"{item.nodeid}: {strange} {why} no such row {fault_id}")
        if claims:
            item.user_properties.append((_PROPERTY, {}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a marked test whose fault never fired."""
    witness = evidence.Witness(evidence.claims_of(item))
    evidence.begin(witness)
    try:
        result = yield
    finally:
        evidence.end()
        dict(item.user_properties).get(_PROPERTY, {}).update(witness.seen)
    if witness.silent:
        pytest.fail(f"never fired: {', '.join(witness.silent)}", pytrace=False)
    return result

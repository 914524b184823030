"""Keeps what is in memory from being written to disk when the process dies."""

import resource


def forbid_core_dumps() -> None:
    """Leave no core behind, whatever kills this process."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    # Linux hands a core to a collector whatever the limit says, unless that is 1 (core(5)).
    limit = 0 if most == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))

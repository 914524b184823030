"""How much a process may have open: what the machine allows, for connections are protection."""

import resource

_ENOUGH = 65_536


def raise_limit() -> None:
    """Take what the machine allows; a shell and a service manager begin with far less."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_endless = most == resource.RLIM_INFINITY
    wanted = _ENOUGH if is_endless else min(most, _ENOUGH)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))

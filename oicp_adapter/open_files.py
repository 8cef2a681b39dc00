"""Open files and connections: has this process run out of them, and how the daemon gets as many as it may.

The danger: a limit that is met at night looks like missing permissions, a lost file or a dead network, and people
search there. Each operator takes several of them.
"""

from __future__ import annotations

import errno
import os
import resource

ADVICE = (
    "raise the limit of open files: LimitNOFILE= of the systemd service, --ulimit nofile= of the container, or "
    "ulimit -n in the shell"
)
ENOUGH = 65_536
"""Open files for thousands of operators; no more are asked for."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE)


def too_many(error: OSError) -> bool:
    """Whether this is what the error says."""
    return error.errno in _EXHAUSTED


def ran_out() -> bool:
    """Whether no file could be opened now. For errors of libraries that do not say why."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return too_many(error)
    return False


def raise_limit() -> None:
    """As many as this process may have without leave; the default is for programs with few files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

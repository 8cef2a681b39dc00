"""The one place where the simulator reads the machine's clock; everything else is handed a `Clock`.

A second place would be a test that passes by day and fails over a minute boundary.
"""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since the epoch."""

system_clock: Clock = time.time  # noqa: TID251 - the injected default

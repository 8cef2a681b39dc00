"""For all tests: properties have no deadline (machines are shared and slow at times), and a failure can be repeated."""

from __future__ import annotations

import signal

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None, print_blob=True)
settings.load_profile("shared-machine")

# Under nohup, or in the background of a script, Ctrl-C is ignored, and by every process a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

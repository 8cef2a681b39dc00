"""For all tests: properties have no deadline (machines are shared and slow at times), and a failure can be repeated."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None, print_blob=True)
settings.load_profile("shared-machine")

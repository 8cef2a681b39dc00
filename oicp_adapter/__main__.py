"""The program's first moment, as `oicp-adapter` and as `python -m oicp_adapter`: signals first, then everything else.

The daemon's imports and its start take a second. Nothing heavy may be imported above `main`.
"""

from __future__ import annotations

import os
import sys

from oicp_adapter.signals import note_from_now_on


def main() -> None:
    """Run the command line."""
    if "run" in sys.argv[1:]:
        note_from_now_on()
    for name in ("stdout", "stderr"):
        if (
            getattr(sys, name) is None
        ):  # whoever closed it wants to hear nothing; who prints must not die of it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for as long as it lives
    try:
        from oicp_adapter.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201 - the command line may not be there yet
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()

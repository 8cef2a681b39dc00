"""When to try Hubject again after it failed as a whole (P6): exponential, with full jitter, bounded. Pure."""

from __future__ import annotations

from oicp_adapter.core.records import Trouble

TRANSIENT_CAP = 60.0
"""Seconds between tries while Hubject is unreachable or in trouble: recovery is noticed within a minute."""
PERMANENT_FIRST, PERMANENT_CAP = 60.0, 3600.0
"""Seconds between probes while Hubject rejects us as a whole: slow, because only a person can cure it."""


def worsened(
    before: Trouble | None, *, permanent: bool, code: str, text: str, hint: str, now: float, chance: float
) -> Trouble:
    """One more failure. `chance` in [0, 1) is the jitter; a permanent wait keeps at least half its length."""
    failures = before.failures + 1 if before is not None and before.permanent is permanent else 1
    exponent = min(failures - 1, 12)
    if permanent:
        wait = min(PERMANENT_FIRST * 2**exponent, PERMANENT_CAP) * (0.5 + chance / 2)
    else:
        wait = min(2.0**exponent, TRANSIENT_CAP) * chance
    return Trouble(
        permanent=permanent,
        code=code,
        text=text,
        hint=hint,
        since=before.since if before is not None else now,
        failures=failures,
        next_try=now + wait,
        tried_at=now,
    )


def longest_rest(trouble: Trouble) -> float:
    """Seconds that this trouble may keep us waiting by itself; Hubject may have asked for more."""
    return PERMANENT_CAP if trouble.permanent else TRANSIENT_CAP

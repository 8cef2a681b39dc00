"""The catalogue of log events: nothing is logged that is not named here (docs/logs.md is generated from it).

Levels: INFO = something happened, WARNING = degraded but coping, ERROR = a person must act.
"""

from __future__ import annotations

import logging

import msgspec


class Event(msgspec.Struct, frozen=True):
    """One kind of log line: a stable name, its level, what it says, what to do about it."""

    name: str
    level: int
    says: str
    do: str = ""


def _info(name: str, says: str) -> Event:
    return Event(name, logging.INFO, says)


def _warning(name: str, says: str, do: str) -> Event:
    return Event(name, logging.WARNING, says, do)


def _error(name: str, says: str, do: str) -> Event:
    return Event(name, logging.ERROR, says, do)


DAEMON_STARTED = _info("daemon.started", "The daemon runs; names its operators, jobs and next runs.")
DAEMON_WAITS = _info(
    "daemon.waits",
    "At its start: a verb that pushes for the operator has some seconds to end; the daemon then takes over.",
)
DAEMON_STOPPING = _info("daemon.stopping", "A signal asked it to end; the push in flight is finished first.")
DAEMON_STOPPED = _info("daemon.stopped", "It ended; the ledger is closed.")
DAEMON_GRACE_OVER = _error(
    "daemon.grace_over",
    "A worker did not end within the grace time; the process ends anyway. What was in flight is in doubt.",
    "Nothing is lost: the next start pushes it again. If it happens often, raise `[daemon] grace`.",
)
DAEMON_WORKER_DIED = _error(
    "daemon.worker_died",
    "An operator's worker thread died; the process stops so that its supervisor restarts it.",
    "Report the traceback; the ledger is safe.",
)
JOB_FAILED = _error(
    "job.failed",
    "A job failed; the other jobs go on and this one runs again at its next time. Foreseen failures such as a full "
    "disk are told when they begin, then hourly.",
    "Read the error; if it repeats, report it with the traceback.",
)
JOB_MISSED = _info(
    "job.missed", "A daily job was due while the daemon did not run; it runs now. `due` is when it was."
)
CONFIGURATION_RELOADED = _info(
    "daemon.reloaded",
    "SIGHUP: source and mapping settings of these operators were read again; other settings need a restart.",
)
CONFIGURATION_REJECTED = _error(
    "daemon.reload_rejected",
    "SIGHUP: the new configuration has problems; the old one stays in force.",
    "Repair what the line names, check with `oicp-adapter check`, send SIGHUP again.",
)
CONFIGURATION_KEPT = _warning(
    "daemon.reload_kept",
    "SIGHUP: nothing of this operator was taken; the running one goes on as before. `text` says why.",
    "Restart the daemon, if the change was meant.",
)
RESTART_NEEDED = _warning(
    "daemon.restart_needed",
    "SIGHUP: `settings` have changed in the configuration since the start and are not in force yet; only those of "
    "sources and mapping are read again.",
    "Restart the daemon.",
)
COMMAND_TAKEN = _info("command.taken", "A manual command (resync) was picked up.")
COMMAND_ENDED = _info("command.ended", "A manual command ended: done, refused or failed.")
LEDGER_FAILED = _error(
    "ledger.failed",
    "The ledger cannot be used (disk full, read-only, replaced): nothing is sent meanwhile, and it is tried again at "
    "every interval. Repeated hourly.",
    "Follow the line's fix; it goes on by itself.",
)
LEDGER_USABLE = _info("ledger.usable", "The ledger can be used again.")
RECOVERED = _warning(
    "ledger.recovered",
    "The last process died while pushes were in flight: their EVSEs are in doubt and are pushed again "
    "after settle.",
    "Nothing, if it was a planned kill; else find out why the process died.",
)

CLOCK_JUMPED = _warning(
    "daemon.clock_jumped",
    "The wall clock jumped by so many seconds between two cycles. Times in the ledger are pulled back to now, what was "
    "in doubt waits for settle anew, and no other wait is longer than it would be from now on.",
    "Let a time service keep the clock; nothing else is needed.",
)
LEDGER_DISTRUSTED = _warning(
    "ledger.distrusted",
    "What the ledger says about Hubject is no longer believed: every EVSE is in doubt, the baseline unknown "
    'until a person ends it, also with `first_full_load = "automatic"`.',
    "Wait for settle; then `resync OPERATOR --adopt N`.",
)
LEDGER_LOST = _warning(
    "ledger.lost",
    "The mark beside the ledger tells of pushes that this ledger has never seen: the one they were in is gone. The "
    'baseline is unknown until a person ends it, also with `first_full_load = "automatic"`.',
    "If it was moved, stop and put it back; else `resync OPERATOR --adopt N` with the right number.",
)
OPERATOR_UNCONFIGURED = _warning(
    "operator.unconfigured",
    "Hubject shows EVSEs of an operator that is not in the configuration any more, or has another id there: nobody "
    "looks after them. At the start, then daily.",
    "Put it back, withdraw them, or say that somebody else looks after them: "
    "docs/operations.md, An operator that is not in the configuration any more.",
)
OPERATOR_PAUSED = _warning(
    "operator.paused",
    "A person stopped the pushes; reading goes on. Repeated daily.",
    "`oicp-adapter resume OPERATOR`, or wait: a pause with a time ends by itself.",
)
OPERATOR_RESUMED = _info("operator.resumed", "Pushes flow again after a pause.")
PLAN_OBSERVED = _info("plan.observed", 'Observe mode (`mode = "observe"`): what would have been sent.')
EVSE_OBSERVED = _info(
    "evse.observed", "Observe mode: the part of one EVSE in the plan changed; nothing is sent."
)

DELTA_DONE = _info(
    "delta.done",
    "A delta cycle that found a change, had an answer, or met a new kind of trouble or its end; the others are summed "
    "up every `[log] summary` (5 min): `cycles` is how many the line stands for, all else is the last one's. read, "
    "changed, requests, pushed, acked, quarantined, withheld, in_doubt, backlog (EVSEs that wait for Hubject), bundle "
    "(largest request); in seconds duration, slowest (from a change seen to its acknowledgement) and lag: the age of "
    "the oldest change that is not at Hubject, whatever it waits for, which `waits` says.",
)
RECONCILE_DONE = _info(
    "reconcile.done", "One reconciliation: what it found that should not have been, and healed, per kind."
)
RECONCILE_HEALED = _warning(
    "reconcile.healed",
    "Reconciliation found EVSEs that Hubject did not hold as the source says, and pushed them.",
    "Normal after faults. If it finds something in every run, look for the push events of those EVSEs.",
)
DELIVERY_OVERDUE = _error(
    "delivery.overdue",
    "Something has waited for Hubject longer than `[delivery] overdue_after` (5 min), and nobody decided so: Hubject "
    "cannot be reached, refuses, or does not answer. `text` says why, `waited` for how many seconds. Repeated hourly.",
    "Follow the line's fix, or look at `status`; it goes on by itself.",
)
DELIVERY_CAUGHT_UP = _info(
    "delivery.caught_up", "The end of `delivery.overdue`: nothing waits any more, or not yet that long."
)
FULL_DONE = _info("full.done", "One full cycle; `full_load` tells what came of it.")
FULL_POSTPONED = _info(
    "full.postponed",
    "A full load is due but waits: for EVSEs in doubt or withheld with no status to keep, or for a complete read. "
    "Repeated hourly while it lasts.",
)
FULL_ROLLED = _info("full.rolled", "A rolling resync ended: every EVSE was pushed again in bundles.")
FULL_SUSPENDED = _error(
    "full.suspended",
    "Two full loads in a row got no answer; until one succeeds by hand a rolling resync replaces them.",
    "Raise `[hubject] full_load_timeout`, ask Hubject with the Process-ID, then run `resync`.",
)
FULL_TOO_LARGE = _warning(
    "full.too_large",
    "The full load is too large, for Hubject (413) or for `[hubject] max_body`; a rolling resync replaces it.",
    "Nothing: every EVSE is pushed again in bundles. EVSEs of others are not removed by it.",
)

SOURCE_FAILED = _error(
    "source.failed",
    "The source could not be read; the last picture stays and nothing is planned from the failed read.",
    "Follow the error's fix.",
)
SOURCE_RECOVERED = _info("source.recovered", "The source can be read again.")
SOURCE_INCOMPLETE = _warning(
    "source.incomplete",
    "The read was not complete: it may update, but no EVSE is let go because of it.",
    "See `problems`; a file must be replaced by rename, not written in place.",
)
SOURCE_ODD = _warning(
    "source.odd", "The read was complete but odd, for example unreadable times.", "See `problems`."
)
SOURCE_OLD = _warning(
    "source.old",
    "The source's picture is older than 15 minutes.",
    "Check what writes the file; `max_age` would treat it as unreadable.",
)
SOURCE_UNKNOWN = _warning(
    "source.unknown_published",
    "The source has been unreadable for `unknown_after`: its EVSEs are published as Unknown.",
    "Repair the source; the next good read restores the statuses.",
)
VALUE_UNMAPPED = _warning(
    "mapping.unmapped",
    "A word that no table knows, with its column; EVSEs whose status depends on it are published as Unknown. Logged "
    "once per word and run.",
    "Set what the line prints.",
)
SIGNS_OF_LIFE = _warning(
    "mapping.signs_of_life",
    "Signs of life that look wrong for the fleet as a whole: some EVSEs give none and are never offline, or the times "
    "are wrong alike. Logged once per run.",
    "Set what the line names.",
)
RECORD_REJECTED = _warning(
    "mapping.rejected",
    "Source records that cannot be published (no id, invalid id, foreign prefix); logged when new ones come: `new` of "
    "`count`, and how many are `solved`. Another order is no news.",
    "`oicp-adapter quarantine list` names them with the reason.",
)
ID_SPELLING = _warning(
    "mapping.spelling",
    "The source spells an EvseID differently from what Hubject acknowledged; the new spelling takes effect "
    "with the next full load.",
    "Nothing, if the change was meant.",
)

ID_AMBIGUOUS = _warning(
    "mapping.ambiguous",
    "Two chargers may claim one EvseID: the template made it of different addresses, or the source writes it in two "
    "ways. Where they do not agree it is not inserted, and Unknown where Hubject shows it. Logged when the list "
    "changes, then daily.",
    "The line names both origins and what keeps them apart.",
)

GUARD_LET_PASS = _warning(
    "guard.let_pass",
    "Some records without a usable EvseID could be of EVSEs that are leaving the drivers' maps, but they are fewer "
    "than one in a hundred of what is missing: the removals go by the other guards. Repeated daily while it lasts.",
    "`oicp-adapter quarantine list` names the records; repair or remove them.",
)
GUARD_REFUSED = _error(
    "guard.refused",
    "A guard withholds changes or the full load; everything else flows. Repeated hourly while it lasts.",
    "First make sure the source is right. The line prints the override command, or names the section that says how.",
)
UNMAPPED_BELIEVED = _error(
    "guard.unmapped_believed",
    "Nobody could read these EVSEs for `unmapped_believed_after`, so they are published as Unknown, although they are "
    "more than `mass_unknown_share` of the fleet. Hourly at most.",
    "Map the values under `mapping.overrides`, correct `vocabulary` or repair the export: the next read restores them.",
)
GUARD_CLEARED = _info("guard.cleared", "A guard no longer withholds anything.")
BASELINE_UNKNOWN = _warning(
    "baseline.unknown",
    "What Hubject held before our first full load is unknown: no full load is sent. Repeated daily.",
    '`oicp-adapter resync OPERATOR --adopt N`, or `first_full_load = "automatic"`, with which it is not said.',
)
BASELINE_KNOWN = _info("baseline.known", "A full load was applied: from now on scheduled full loads run.")

PUSH_APPLIED = _info("push.applied", "Hubject acknowledged a push.")
PUSH_REFUSED = _warning(
    "push.refused",
    "Hubject refused a push; the records at fault are isolated, the others are sent again at once.",
    "`oicp-adapter quarantine list` shows what remains refused.",
)
PUSH_IN_DOUBT = _warning(
    "push.in_doubt",
    "A push got no readable answer: Hubject may or may not have applied it. Its EVSEs wait for settle.",
    "Nothing: they are pushed again with their latest status. Often: check the network, raise the timeout.",
)
PUSH_RETRIED = _warning(
    "push.retried",
    "An attempt failed in a way that is safe to repeat; it is repeated after `wait`.",
    "Nothing.",
)
PUSH_FAILED = _warning(
    "push.failed",
    "A push was not applied and is tried again later (Hubject unreachable, in trouble, or over the limit).",
    "If it lasts: check the network, then Hubject's status.",
)
SEARCH_CONTINUES = _info(
    "isolation.continues",
    "The cycle's time did not suffice to find the records at fault in refused requests; the next goes on.",
)
HUB_CODE_UNKNOWN = _warning(
    "hub.code_unknown",
    "Hubject answered a code this program does not know; treated as refused.",
    "Report it with the Process-ID.",
)
HUB_PROCESS_IDS_ALIKE = _warning(
    "hub.process_ids_alike",
    "Every answer so far carried the same Process-ID, so a second copy of an old answer could not be told by it. Told "
    "once; it ends with the first different one.",
    "Hubject gives each call its own: look at what answers in its place (a gateway, a stand-in).",
)
HUB_STOPPED = _error(
    "hub.stopped",
    "Hubject rejects this operator as a whole (certificate, contract, allow-list, wrong path). Pushing "
    "stops; the next real push probes at a slow, growing interval.",
    "Follow the line's fix; it resumes by itself, or at once after a restart.",
)
HUB_RECOVERED = _info("hub.recovered", "Hubject takes our pushes again.")
EVSE_CHANGED = _info("evse.changed", "Hubject acknowledged a changed status of one EVSE.")
EVSE_QUARANTINED = _warning(
    "evse.quarantined",
    "Hubject refused this EVSE; the others go through. It is retried alone, at growing intervals.",
    "603: upload its EVSE data to Hubject. Else follow the text.",
)
EVSE_MISSING_KEPT = _warning(
    "evse.missing_kept",
    'EVSEs are gone from the source, and `missing = "keep"` keeps their last status at Hubject.',
    "Decide: remove the setting, or restore them in the source.",
)
CERTIFICATE_UNUSABLE = _error(
    "certificate.unusable",
    "At the start the operator's certificate, key or CA bundle cannot be used: its source is read, but nothing can be "
    "pushed. The other operators are not affected.",
    "Follow the line's fix. The files are read again at the next probe (an hour at most) or at a restart.",
)
CERTIFICATE_RENEWED = _info(
    "certificate.renewed",
    "The operator's certificate, key or CA bundle has changed on disk; from this push on the new files are used.",
)
CERTIFICATE_KEPT = _warning(
    "certificate.kept",
    "The operator's certificate, key or CA bundle has changed on disk and cannot be used; the old files stay in use "
    "until this process ends. Told once for each change.",
    "Follow the line's fix before the next restart; usable files are taken by themselves.",
)
CERTIFICATE_EXPIRES = _warning(
    "certificate.expires", "The client certificate expires soon.", "Order a new one from Hubject now."
)

CATALOGUE: dict[str, Event] = {
    event.name: event for event in list(globals().values()) if isinstance(event, Event)
}

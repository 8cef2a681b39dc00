"""When each job of the daemon last ran and how it went: what `status` and `health` read.

The danger: a health check that looks at a job that no longer runs. Only the job itself writes its row.
"""

from __future__ import annotations

from typing import Any

import msgspec

from oicp_adapter.ledger import codec
from oicp_adapter.ledger.scope import Scope
from oicp_adapter.ports import JobRecord

_summary = msgspec.json.Decoder(dict[str, int | float | str | None])


class SqliteJobs(Scope):
    """`oicp_adapter.ports.JobLog` in the ledger file."""

    def record_job(self, record: JobRecord) -> None:
        """Store the job's latest record."""
        sql = "INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        with self._database.writing() as connection:
            values = (
                self._id(connection),
                record.job,
                record.started_at,
                record.succeeded_at,
                record.failed_at,
                record.error,
                record.failures,
                record.next_run_at,
                codec.to_json(record.summary),
            )
            connection.execute(sql, values)

    def jobs(self) -> list[JobRecord]:
        """All of them, by name."""
        sql = """
        SELECT job, started_at, succeeded_at, failed_at, error, failures, next_run_at, summary
        FROM job WHERE operator_id = ? ORDER BY job
        """
        with self._database.reading() as connection:
            found = connection.execute(sql, (self._id(connection),)).fetchall()
        return [_record(*row) for row in found]


def _record(job: str, *rest: Any) -> JobRecord:
    started_at, succeeded_at, failed_at, error, failures, next_run_at, summary = rest
    with codec.readable(f"job {job!r}"):
        return JobRecord(
            job=job,
            started_at=started_at,
            succeeded_at=succeeded_at,
            failed_at=failed_at,
            error=error,
            failures=failures,
            next_run_at=next_run_at,
            summary=_summary.decode(summary),
        )

"""What the way to Hubject has to tell, as log lines of the operator."""

from __future__ import annotations

from oicp_adapter.errors import CertificateError
from oicp_adapter.hub import CertificateFacts, Notices
from oicp_adapter.oicp.answers import Answer
from oicp_adapter.telemetry import events
from oicp_adapter.telemetry.log import EventLog


class LoggedNotices(Notices):
    """`log` is bound to the operator."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def retried(self, answer: Answer, wait: float) -> None:
        """A push is tried again."""
        self._log.emit(
            events.PUSH_RETRIED,
            text=answer.text,
            code=answer.code or None,
            http_status=answer.http_status,
            process_id=answer.process_id,
            wait=round(wait, 2),
        )

    def process_ids_alike(self, answer: Answer) -> None:
        """Nobody can tell an answer by its Process-ID."""
        self._log.emit(events.HUB_PROCESS_IDS_ALIKE, process_id=answer.process_id)

    def certificate_renewed(self, facts: CertificateFacts) -> None:
        """The new files are in use."""
        self._log.emit(events.CERTIFICATE_RENEWED, subject=facts.subject, days_left=facts.days_left)

    def certificate_kept(self, error: CertificateError) -> None:
        """The new files will not do."""
        self._log.emit(events.CERTIFICATE_KEPT, text=error.message, fix=error.hint)

"""The answer each fault puts in place of the true one (docs/oicp-notes.md "Answers")."""

from collections.abc import Callable
from email.utils import formatdate

from oicp_adapter.simulator import answers
from oicp_adapter.simulator.answers import Answer
from oicp_adapter.simulator.faults import Fault
from oicp_adapter.simulator.ids import evse_key
from oicp_adapter.simulator.validate import FieldError, StatusPush

_PHRASES = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


def answer_of(fault: Fault, push: StatusPush | None, uri: str, now: float) -> Answer | None:
    """The answer a fault puts in place of the true one; None for faults of time and connection."""
    if fault.kind in _FIXED:
        return _FIXED[fault.kind]()
    match fault.kind:
        case "evse_data_missing":
            return answers.evse_data_missing(wire for _, wire in _at_fault(fault, push))
        case "data_error":
            return answers.refusal("022", info=_info(fault, push))
        case "code":
            return answers.refusal(
                fault.code, info=_info(fault, push) if fault.evse_ids else fault.additional_info
            )
        case "validation_error":
            return answers.invalid(_field_errors(fault, push))
        case "service_not_found":
            return answers.service_not_found(uri)
        case "http_error":
            title = f"{fault.status} {_PHRASES.get(fault.status, 'Error')}"
            return answers.page(fault.status, title, reason="" if fault.empty_reason else None)
        case "too_many":
            return answers.too_many(_retry_after(fault, now))
        case "garbage_truncated":
            whole = answers.success()
            return Answer(200, whole.body[: len(whole.body) // 2], whole.content_type)
        case _:
            return None


_FIXED: dict[str, Callable[[], Answer]] = {
    "duplicate_ids": lambda: answers.refusal("018"),
    "ssl_certificate_error": answers.ssl_certificate_error,
    "unauthorized": answers.unauthorized,
    "forbidden_address": answers.forbidden_address,
    "no_subscription": answers.no_subscription,
    "partner_not_found": answers.partner_not_found,
    "internal_error": answers.internal_error,
    "request_timeout": lambda: answers.page(408, "408 Request Time-out"),
    "too_large": answers.too_large,
    "garbage_html": lambda: answers.page(200, "Welcome"),
    "garbage_empty": lambda: Answer(200, b""),
}


def _at_fault(fault: Fault, push: StatusPush | None) -> list[tuple[int, str]]:
    """Index and wire id of the records a refusal points at: those asked for, else the first."""
    if push is None:
        return []
    keys = {evse_key(wire) for wire in fault.evse_ids}
    found = [(i, wire) for i, (key, (wire, _)) in enumerate(push.items()) if key in keys]
    return found or [(i, wire) for i, (wire, _) in enumerate(push.records[:1])]


def _info(fault: Fault, push: StatusPush | None) -> str | None:
    if fault.additional_info is not None or not fault.named:
        return fault.additional_info
    return ",".join(wire for _, wire in _at_fault(fault, push)) or None


def _field_errors(fault: Fault, push: StatusPush | None) -> list[FieldError]:
    if fault.field_reference:
        return [FieldError(fault.field_reference, "is not valid")]
    if not fault.named:
        return []
    where = "operatorEvseStatus.evseStatusRecord[{}].evseID"
    return [FieldError(where.format(i), "is not valid") for i, _ in _at_fault(fault, push)]


def _retry_after(fault: Fault, now: float) -> str | None:
    seconds = 1.0 if fault.seconds is None else fault.seconds
    if fault.retry_after == "none":
        return None
    return f"{seconds:.0f}" if fault.retry_after == "seconds" else formatdate(now + seconds, usegmt=True)

"""When two identifiers mean the same charging point: the simulator's own reading, so that it cannot share the
adapter's.

Source: docs/oicp-notes.md "Identity of ids". A *key* is the identity of an id: two ids are equal exactly if their
keys are. ISO keys hold no `*` and only upper case, so country (2) and operator (3) sit at fixed places; DIN
keys keep their separators, which count. ISO keys start with a letter and DIN keys with a digit: they never
meet.
"""

import re

_ISO_EVSE = re.compile(r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]{1,30}")
_DIN_EVSE = re.compile(r"\+?[0-9]{1,3}\*[0-9]{3}\*[0-9*]{1,32}")
_ISO_OPERATOR = re.compile(r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}")
_DIN_OPERATOR = re.compile(r"\+?[0-9]{1,3}\*[0-9]{3}")
_ISO_PREFIX = re.compile(r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}(\*?(E[A-Za-z0-9*]*)?)")
_DIN_PREFIX = re.compile(r"\+?[0-9]{1,3}\*[0-9]{3}(\*[0-9*]*)?")
_PROVIDER = re.compile(r"[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}")

EVSE_PATTERN = (
    r"^(([A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9\*]{1,30})|(\+?[0-9]{1,3}\*[0-9]{3}\*[0-9\*]{1,32}))$"
)
OPERATOR_PATTERN = r"^([A-Za-z]{2}\*?[A-Za-z0-9]{3}|\+?[0-9]{1,3}\*[0-9]{3})$"


def _iso_key(text: str) -> str:
    return text.replace("*", "").upper()


def evse_key(text: str) -> str | None:
    """Identity of an EvseID, or None if OICP's pattern does not allow it."""
    if _ISO_EVSE.fullmatch(text):
        return _iso_key(text)
    return text.removeprefix("+") if _DIN_EVSE.fullmatch(text) else None


def operator_key(text: str) -> str | None:
    """Identity of an OperatorID, or None if OICP's pattern does not allow it."""
    if _ISO_OPERATOR.fullmatch(text):
        return _iso_key(text)
    return text.removeprefix("+") if _DIN_OPERATOR.fullmatch(text) else None


def provider_key(text: str) -> str | None:
    """Identity of an EMP's ProviderID, or None if it is none."""
    return re.sub(r"[*-]", "", text).upper() if _PROVIDER.fullmatch(text) else None


def prefix_key(text: str) -> str:
    """What the key of every EvseID under this prefix starts with; compares whole parts, so `DE*AB` is
    refused.

    Raises ValueError for something that is no prefix.
    """
    if _ISO_PREFIX.fullmatch(text):
        return _iso_key(text)
    if match := _DIN_PREFIX.fullmatch(text):
        key = text.removeprefix("+")
        return key if match.group(1) else key + "*"
    raise ValueError(f"{text!r} is no EvseID prefix: country and operator, for example DE*ABC or +49*123")


def operator_of(evse_id: str) -> str | None:
    """OperatorID (ISO with separator, DIN as written) under which an EvseID lies by its own text."""
    key = evse_key(evse_id)
    if key is None:
        return None
    if key[0].isdigit():
        country, operator, _ = evse_id.split("*", 2)
        return f"{country}*{operator}"
    return f"{key[:2]}*{key[2:5]}"


def without_separators(evse_id: str) -> str:
    """The spelling of Hubject's 603 answer, in which a DIN id can no longer be told apart from another."""
    return evse_id.replace("*", "").replace("+", "")

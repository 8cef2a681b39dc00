"""Says things to the person who watches a long run."""

from __future__ import annotations


def say(text: str) -> None:
    """At once, even into a file."""
    print(text, flush=True)  # noqa: T201 - this is no test but a program


def rows(*cells: tuple[object, ...]) -> None:
    """A table: the first column is left, the others are right."""
    widths = [max(len(str(row[at])) for row in cells if len(row) > at) for at in range(max(map(len, cells)))]
    for name, *values in cells:
        filled = (str(value).rjust(width) for value, width in zip(values, widths[1:], strict=False))
        say(f"  {str(name).ljust(widths[0])}  {'  '.join(filled)}")
    say("")

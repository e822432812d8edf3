"""Dates of images: `created`, and the times of files."""

import subprocess
from datetime import datetime
from typing import Final

from builders.console.errors import die

NOW: Final = "now"
"""Stands for the time of streaming, as the date of an image or the time of its files."""

_DATE_LENGTH: Final = len("1970-01-01T00:00:01+00:00")
"""Of years with four digits, as ISO 8601 and the image configuration (RFC 3339) have them."""


def parse_date(value: str, *, what: str, date: str) -> str:
    """Return `value`, any date that coreutils' `date -d` understands, in ISO 8601, or `NOW`.

    `date` is that program. Raises `UserError`, with `what` for its subject, where it is no date.
    """
    if value == NOW:
        return NOW
    result = subprocess.run(
        [date, "-u", "-Iseconds", "-d", value],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "TZ": "UTC"},
    )
    time = result.stdout.strip()
    hint = 'give it as ISO 8601, like "2025-01-31T12:00:00Z", or as "now"'
    if result.returncode or not value.strip():
        die(f"{what} = {value!r} is no date", hint=hint)
    if len(time) != _DATE_LENGTH:
        die(f"{what} = {value!r} is {time}, which no image can have", hint=hint)
    return time


def parse_time(value: str, *, what: str, date: str) -> int | None:
    """Return `value`, as `parse_date` takes it, in seconds since 1970; None for `NOW`."""
    time = parse_date(value, what=what, date=date)
    return None if time == NOW else int(datetime.fromisoformat(time).timestamp())

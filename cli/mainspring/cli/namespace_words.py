"""Namespaces -> the words of tables, for people. PURE but for the machine's time zone."""

from typing import Final

from mainspring.cli.durations import format_duration
from mainspring.cli.policy_words import policy_details
from mainspring.cli.tables import NOTHING, instant_words
from mainspring.cli.visible import visible
from mainspring.client import Namespace

NAMESPACE_COLUMNS: Final = ("NAMESPACE", "RETENTION", "DEFAULTS", "UPDATED")


def namespace_row(namespace: Namespace, *, utc: bool) -> tuple[str, ...]:
    """The cells of `NAMESPACE_COLUMNS`: of the defaults which there are."""
    said = [label for label, words in policy_details(namespace.task_defaults) if words]
    return (
        visible(namespace.name),
        format_duration(namespace.retention),
        ", ".join(said) or NOTHING,
        instant_words(namespace.update_time and namespace.update_time.replace(microsecond=0), utc=utc),
    )


def namespace_details(namespace: Namespace, *, utc: bool) -> list[tuple[str, str]]:
    """Everything about one namespace, as labels and words."""
    return [
        ("namespace", visible(namespace.name)),
        ("retention", format_duration(namespace.retention)),
        *((label, words or NOTHING) for label, words in policy_details(namespace.task_defaults)),
        ("created", instant_words(namespace.create_time, utc=utc)),
        ("updated", instant_words(namespace.update_time, utc=utc)),
        ("etag", visible(namespace.etag) or NOTHING),
    ]

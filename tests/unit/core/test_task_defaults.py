"""What a task gets from its namespace, and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unit.core.short import cron, once

from mainspring.server.core.model import Delivery
from mainspring.server.core.policies import DEFAULT, Misfire, MisfireMode, Overlap, Policies, Retry, Timeouts
from mainspring.server.core.task_defaults import DELIVERY, FIELDS, NO_DEFAULTS, RETRY, TaskDefaults, resolved

LEAST, MOST = Delivery.AT_LEAST_ONCE, Delivery.AT_MOST_ONCE
CRON = cron("0 9 * * *")
EVERYTHING = Policies(
    misfire=Misfire(MisfireMode.NONE),
    overlap=Overlap.REPLACE,
    retry=Retry(max_attempts=3),
    timeouts=Timeouts(start_to_finish_us=5),
    objective_us=7,
    keep=9,
)
RETRIES = TaskDefaults(LEAST, EVERYTHING)
AT_MOST_ONCE = TaskDefaults(MOST, replace(EVERYTHING, retry=DEFAULT.retry))


def test_what_is_left_open_is_taken() -> None:
    assert resolved(LEAST, DEFAULT, FIELDS, CRON, RETRIES) == (LEAST, EVERYTHING)
    assert resolved(LEAST, DEFAULT, FIELDS, CRON, AT_MOST_ONCE) == (MOST, AT_MOST_ONCE.policies)
    assert resolved(LEAST, EVERYTHING, FIELDS, CRON, NO_DEFAULTS) == (LEAST, DEFAULT)


@pytest.mark.parametrize("field", [field for field in FIELDS if field != DELIVERY])
def test_what_a_task_says_it_keeps_as_a_whole(field: str) -> None:
    own = replace(DEFAULT, retry=Retry(initial_us=77))
    left_open = set(FIELDS) - {field}
    delivery, policies = resolved(LEAST, own, left_open, CRON, RETRIES)
    assert delivery is LEAST
    assert policies == replace(EVERYTHING, **{field: getattr(own, field)})


def test_nothing_is_taken_that_does_not_go_with_what_the_task_says() -> None:
    _, policies = resolved(MOST, DEFAULT, set(FIELDS) - {DELIVERY}, CRON, RETRIES)
    assert policies.retry == DEFAULT.retry
    own = replace(DEFAULT, retry=Retry(max_attempts=2))
    delivery, policies = resolved(LEAST, own, set(FIELDS) - {RETRY}, CRON, AT_MOST_ONCE)
    assert (delivery, policies.retry) == (LEAST, own.retry)
    said_none = resolved(LEAST, DEFAULT, set(FIELDS) - {RETRY}, CRON, AT_MOST_ONCE)
    assert said_none[0] is MOST, "to retry nothing goes with at most once"


def test_an_overlap_policy_is_for_recurring_tasks_and_open_when_it_is_theirs_anyway() -> None:
    assert resolved(LEAST, DEFAULT, FIELDS, once(5), RETRIES)[1].overlap is None
    skip = TaskDefaults(LEAST, Policies(overlap=Overlap.SKIP))
    assert resolved(LEAST, DEFAULT, FIELDS, CRON, skip)[1] == DEFAULT

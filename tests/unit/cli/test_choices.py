"""The words of the command line are the names of the client's enums, in small letters."""

from enum import Enum, StrEnum

import pytest

from mainspring.cli.filter_options import ExecutionStateChoice, TaskStateChoice
from mainspring.cli.policy_options import DeliveryChoice, MisfireChoice, OverlapChoice
from mainspring.cli.schedule_options import GapChoice, RepeatChoice
from mainspring.client import (
    Delivery,
    ExecutionState,
    GapPolicy,
    MisfireMode,
    OverlapPolicy,
    RepeatPolicy,
    TaskState,
)


@pytest.mark.parametrize(
    ("choices", "members"),
    [
        (DeliveryChoice, Delivery),
        (ExecutionStateChoice, ExecutionState),
        (GapChoice, GapPolicy),
        (MisfireChoice, MisfireMode),
        (OverlapChoice, OverlapPolicy),
        (RepeatChoice, RepeatPolicy),
        (TaskStateChoice, TaskState),
    ],
)
def test_every_member_can_be_said(choices: type[StrEnum], members: type[Enum]) -> None:
    assert [choice.name for choice in choices] == [member.name for member in members if member.value]
    assert all(choice.value == choice.name.lower().replace("_", "-") for choice in choices)

"""Any policies and labels that the client's value types can hold and a message can carry."""

from hypothesis import strategies as st
from unit.client.schedule_strategies import DURATIONS, SCHEDULES, TEXTS

from mainspring.client import (
    Delivery,
    MisfireMode,
    MisfirePolicy,
    NewTask,
    OverlapPolicy,
    RetryPolicy,
    Timeouts,
)

COUNTS = st.integers(1, 2**31 - 1)
LABELS = st.dictionaries(TEXTS, TEXTS, max_size=3)
POLICIES = {
    "misfire": st.none()
    | st.builds(
        MisfirePolicy,
        st.sampled_from([mode for mode in MisfireMode if mode.value]),
        st.none() | DURATIONS,
        st.none() | COUNTS,
    ),
    "overlap": st.none() | st.sampled_from([policy for policy in OverlapPolicy if policy.value]),
    "retry": st.none()
    | st.builds(
        RetryPolicy,
        COUNTS,
        DURATIONS,
        st.none() | DURATIONS,
        st.floats(1, allow_infinity=False),
        st.floats(allow_nan=False),
        st.lists(TEXTS, max_size=3),
    ),
    "timeouts": st.none() | st.builds(Timeouts, *[st.none() | DURATIONS] * 3),
    "lateness_objective": st.none() | DURATIONS,
    "keep_executions": st.none() | COUNTS,
}
NEW_TASKS = st.builds(
    NewTask,
    TEXTS,
    SCHEDULES,
    st.binary(),
    task_id=TEXTS,
    delivery=st.sampled_from([delivery for delivery in Delivery if delivery.value]),
    labels=LABELS,
    **POLICIES,
)

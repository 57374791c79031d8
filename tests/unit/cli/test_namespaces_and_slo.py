"""Namespaces and lateness figures: JSON that reads back as what the API answered, and words for people."""

from dataclasses import replace
from datetime import timedelta

from unit.cli.samples import NOON, TASK
from unit.cli.test_json_form import names, parsed

from mainspring.cli.execution_slo import slo_rows, slo_sentences
from mainspring.cli.json_form import namespace_json, slo_json
from mainspring.cli.namespace_words import namespace_details, namespace_row
from mainspring.client import LatenessCause, Namespace, Slo, SloFigures, TaskDefaults
from mainspring.client.namespace_convert import namespace_from_proto
from mainspring.client.slo_calls import slo_from_proto
from mainspring.v1 import execution_service_pb2, namespace_service_pb2

DEFAULTS = TaskDefaults(
    TASK.delivery,
    TASK.misfire,
    TASK.overlap,
    TASK.retry,
    TASK.timeouts,
    TASK.lateness_objective,
    TASK.keep_executions,
)
NAMESPACE = Namespace("billing", timedelta(days=90), DEFAULTS, NOON, NOON + timedelta(hours=1), "v2")
MS = timedelta(milliseconds=1)
FIGURES = SloFigures(3, 2, 10 * MS, 20 * MS, 30 * MS)
NOTHING = SloFigures(0, 0, None, None, None)
SLO = Slo(FIGURES, {LatenessCause.STEADY: FIGURES, LatenessCause.NO_EXECUTOR: NOTHING}, 4, 16, 1)


def test_a_namespace_has_every_name_of_the_message_and_reads_back() -> None:
    document = namespace_json(NAMESPACE)
    assert sorted(document) == sorted(names(namespace_service_pb2.Namespace))
    assert list(document["task_defaults"]) == names(namespace_service_pb2.TaskDefaults)
    for namespace in (NAMESPACE, Namespace("default", timedelta(days=30))):
        read = parsed(namespace_json(namespace), namespace_service_pb2.Namespace())
        assert namespace_from_proto(read) == namespace


def test_a_namespace_in_words() -> None:
    assert namespace_row(NAMESPACE, utc=True) == (
        "billing",
        "90d",
        "delivery, misfire, overlap, retry, timeouts, objective, keep",
        "2030-06-01T13:00:00Z",
    )
    assert namespace_row(Namespace("default", timedelta(days=30)), utc=True)[1:] == ("30d", "-", "-")
    details = dict(namespace_details(NAMESPACE, utc=True))
    assert details["retention"] == "90d"
    assert details["keep"] == "1,000 executions"
    assert dict(namespace_details(replace(NAMESPACE, task_defaults=TaskDefaults()), utc=True))["retry"] == "-"


def test_figures_have_every_name_of_the_message_and_read_back() -> None:
    document = slo_json(SLO)
    assert list(document) == names(execution_service_pb2.GetSloResponse)
    assert list(document["total"]) == names(execution_service_pb2.SloFigures)
    assert slo_from_proto(parsed(document, execution_service_pb2.GetSloResponse())) == SLO


def test_figures_in_words() -> None:
    assert slo_rows(SLO) == [
        ("steady", "3", "66.67%", "10.0 ms", "20.0 ms", "30.0 ms"),
        ("no executor", "0", "-", "-", "-", "-"),
        ("all", "3", "66.67%", "10.0 ms", "20.0 ms", "30.0 ms"),
    ]
    assert slo_sentences(SLO) == [
        "1 scheduled time was not run: skipped or expired.",
        "A sample: 4 of 16 partitions; ask for less time for all.",
    ]
    assert slo_sentences(replace(SLO, partitions_looked_at=16, not_run_count=0)) == []

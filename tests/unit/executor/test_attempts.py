"""AttemptBook: what is run, refused, repeated and remembered."""

from hypothesis import given, settings
from hypothesis import strategies as st
from sampling import draws

from mainspring.executor.attempts import (
    AttemptBook,
    AttemptKey,
    Ending,
    Knowledge,
    Outcome,
    Verdict,
    route,
)
from mainspring.v1 import executor_service_pb2 as pb

KEY: AttemptKey = (3, b"k" * 16, 1_000, 1)
DONE = Ending(Outcome.SUCCEEDED, output=b"result")


def test_the_numbers_are_those_of_the_proto() -> None:
    for outcome in Outcome:
        assert pb.ResultOutcome.Value(f"RESULT_OUTCOME_{outcome.name}") == outcome
    for knowledge in Knowledge:
        assert pb.AttemptKnowledge.Value(f"ATTEMPT_KNOWLEDGE_{knowledge.name}") == knowledge


def test_a_duplicate_of_a_running_attempt_is_ignored_even_under_a_lower_epoch() -> None:
    book = AttemptBook()
    book.receive(KEY, 5, "a")
    book.accept(KEY, 5, "a")
    book.raise_epoch(3, 9)
    assert book.receive(KEY, 5, "a")[0] is Verdict.DUPLICATE


def test_new_work_of_a_lower_epoch_is_stale() -> None:
    book = AttemptBook()
    book.receive(KEY, 5, "a")
    other = (3, b"x" * 16, 1_000, 1)
    assert book.receive(other, 4, "b") == (Verdict.STALE, None)
    assert book.receive(other, 5, "b") == (Verdict.NEW, None)
    assert book.receive((4, *other[1:]), 1, "b") == (Verdict.NEW, None), "epochs are per partition"


def test_a_finished_result_is_repeated_until_saved() -> None:
    book = AttemptBook()
    attempt = book.accept(KEY, 1, "a")
    book.finish(attempt, DONE)
    assert book.unsaved_bytes == len(b"result")
    for now_s in (0.0, 2.0, 4.0):
        assert book.due(now_s, 2.0, 10) == [attempt]
        book.mark_sent(attempt, now_s, attempt.node)
        assert book.due(now_s + 1.9, 2.0, 10) == []
    assert book.saved(KEY) is attempt
    assert book.due(100.0, 2.0, 10) == []
    assert (book.unsaved_count, book.unfinished_count, book.unsaved_bytes) == (0, 0, 0)


def test_a_result_is_due_at_once_when_the_stream_that_it_was_handed_to_has_ended() -> None:
    book = AttemptBook()
    attempt = book.accept(KEY, 1, "a")
    book.finish(attempt, DONE)
    book.mark_sent(attempt, 0.0, "b")
    book.make_due_for("c")
    assert book.due(1.0, 2.0, 10) == []
    book.make_due_for("b")
    assert book.due(1.0, 2.0, 10) == [attempt]


def test_a_duplicate_of_a_settled_attempt_repeats_its_outcome_and_never_runs() -> None:
    book = AttemptBook()
    book.finish(book.accept(KEY, 1, "a"), Ending(Outcome.FAILED))
    book.saved(KEY)
    verdict, attempt = book.receive(KEY, 2, "b")
    assert verdict is Verdict.FINISHED
    assert attempt is not None
    assert attempt.ending is not None
    assert attempt.ending.outcome is Outcome.FAILED
    assert attempt.node == "b"


def test_saved_of_a_running_attempt_changes_nothing() -> None:
    book = AttemptBook()
    attempt = book.accept(KEY, 1, "a")
    assert book.saved(KEY) is None
    assert book.get(KEY) is attempt


def test_reconcile_tells_what_is_known_and_moves_results_to_the_new_owner() -> None:
    book = AttemptBook()
    keys: list[AttemptKey] = [(3, bytes([n]) * 16, 1_000, 1) for n in range(4)]
    running = book.accept(keys[0], 1, "a")
    running.knowledge = Knowledge.RUNNING
    book.accept(keys[1], 1, "a")
    ended = book.accept(keys[2], 1, "a")
    book.finish(ended, DONE)
    book.mark_sent(ended, 100.0, ended.node)
    answers = book.reconcile([(key, 7) for key in keys], "b")
    assert [answer.knowledge for answer in answers] == [
        Knowledge.RUNNING,
        Knowledge.QUEUED,
        Knowledge.FINISHED,
        Knowledge.NOT_MINE,
    ]
    assert running.node == "b"
    assert book.due(100.0, 2.0, 10) == [ended], "its result goes out again at once"
    assert book.epoch(3) == 7


def test_what_was_disowned_never_starts() -> None:
    book = AttemptBook()
    book.reconcile([(KEY, 4)], "b")
    assert book.receive(KEY, 3, "a")[0] is Verdict.STALE
    assert book.receive(KEY, 4, "b")[0] is Verdict.DISOWNED


def test_memories_are_bounded() -> None:
    book = AttemptBook(remembered=10)
    for number in range(50):
        key = (0, b"x" * 16, number, 1)
        book.finish(book.accept(key, 1, "a"), DONE)
        book.saved(key)
        book.reconcile([((0, b"y" * 16, number, 1), 1)], "a")
    assert len(book._settled) == 10
    assert len(book._disowned) == 10


def test_a_result_is_routed_home_first_and_then_around() -> None:
    book = AttemptBook()
    attempt = book.accept(KEY, 1, "a")
    targets = []
    for _ in range(6):
        targets.append(route(attempt, ["a", "b", "c"]))
        attempt.sends += 1
    assert targets == ["a", "a", "c", "a", "b", "c"]
    attempt.sends = 0
    assert route(attempt, ["b"]) == "b"
    assert route(attempt, []) is None


events = st.lists(
    st.tuples(
        st.sampled_from(["work", "start", "finish", "saved", "reconcile", "lost"]),
        st.integers(0, 2),  # which attempt
        st.integers(1, 3),  # epoch
    ),
    max_size=80,
)


@given(events)
@settings(max_examples=draws(300), deadline=None)
def test_an_attempt_starts_at_most_once_and_only_when_nothing_speaks_against_it(script: list[tuple]) -> None:
    book = AttemptBook()
    starts: dict[AttemptKey, int] = {}
    disowned: set[AttemptKey] = set()
    highest = 0
    for step, (kind, number, epoch) in enumerate(script):
        key: AttemptKey = (0, bytes([number]) * 16, 1_000, 1)
        attempt = book.get(key)
        if kind == "work":
            verdict, _ = book.receive(key, epoch, "a")
            if verdict is Verdict.NEW:
                assert key not in disowned
                assert epoch >= highest
                starts[key] = starts.get(key, 0) + 1
                assert starts[key] == 1
                book.accept(key, epoch, "a")
            elif verdict in (Verdict.STALE, Verdict.DISOWNED):
                book.refuse(key, epoch, "a", "kind", "error")
            if verdict is not Verdict.STALE:
                highest = max(highest, epoch)
        elif kind == "finish" and attempt and not attempt.ending:
            book.finish(attempt, DONE)
        elif kind == "saved":
            book.saved(key)
        elif kind == "reconcile":
            highest = max(highest, epoch)
            [answer] = book.reconcile([(key, epoch)], "b")
            assert (answer.knowledge is Knowledge.NOT_MINE) == (attempt is None)
            if attempt is None:
                disowned.add(key)
        elif kind == "lost":
            book.make_due_for("a")
        # Everything that ended and is not saved is due again, sooner or later: nothing is forgotten.
        due = book.due(step + 1e6, 2.0, 1_000)
        assert len(due) == book.unsaved_count
        sent = [item.sent_at_s for item in due]
        assert sent == sorted(sent)
        if due and step % 2:
            book.mark_sent(due[0], float(step), due[0].node)

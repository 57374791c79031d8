"""What `mainspring dev` is put together from."""

from pathlib import Path

import pytest

from mainspring.dev.command import CannotStartError, DevSettings, built_in_executor, welcome
from mainspring.dev.process import free_partitions
from mainspring.server.persistence.sqlite.store import SQLiteStore


async def test_what_a_killed_process_held_is_free_again_and_its_epochs_do_not_fall() -> None:
    store = SQLiteStore(partition_count=4)
    await store.start()
    await store.take_partitions([(0, 0), (2, 0)], "killed")
    await store.take_partitions([(3, 0)], "killed-before")
    before = {row.partition_id: row.epoch for row in await store.read_partitions()}
    await free_partitions(store)
    rows = await store.read_partitions()
    assert [row.owner_id for row in rows] == [None] * 4
    assert {row.partition_id: row.epoch for row in rows} == before
    await free_partitions(store)  # nothing to do
    await store.close()


def test_a_handler_of_ones_own_takes_the_place_of_a_mock_handler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_jobs.py").write_text(
        "from mainspring.executor import HandlerRegistry\n"
        "registry = HandlerRegistry()\n"
        "@registry.handler('sleep')\n"
        "def own_sleep(job): return 'slept'\n"
        "@registry.handler('more')\n"
        "def more(job): return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = built_in_executor(DevSettings(handlers=["own_jobs:registry"])).registry
    assert registry.names == ("echo", "fail", "more", "noop", "sleep")
    handler = registry.get("sleep")
    assert handler is not None
    assert handler.function.__name__ == "own_sleep"


def test_two_handlers_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice.py").write_text(
        "from mainspring.executor import HandlerRegistry\n"
        "one, two = HandlerRegistry(), HandlerRegistry()\n"
        "one.register('same', lambda job: None)\n"
        "two.register('same', lambda job: None)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CannotStartError, match="'same' is registered already") as caught:
        built_in_executor(DevSettings(handlers=["twice:one", "twice:two"]))
    assert caught.value.option == "--handlers"


def test_the_welcome_names_the_address_only_where_it_must_be_set() -> None:
    usual = welcome(DevSettings(), "127.0.0.1:7300", ["noop"])
    assert "MAINSPRING_ADDRESS" not in usual
    assert "nothing is kept" in usual
    other = welcome(DevSettings(file=Path("kept.db")), "127.0.0.1:9999", [])
    assert "export MAINSPRING_ADDRESS=127.0.0.1:9999" in other
    assert "kept in kept.db" in other
    assert "no executor" in other

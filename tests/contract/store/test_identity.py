"""A cluster has an id, drawn once."""

import re

from contract.store.conftest import Backend


async def test_every_store_of_a_cluster_knows_its_id_and_it_stays(backend: Backend) -> None:
    first, second = await backend.open(), await backend.open()
    assert re.fullmatch(r"[0-9a-f]{32}", first.cluster_id)
    assert second.cluster_id == first.cluster_id

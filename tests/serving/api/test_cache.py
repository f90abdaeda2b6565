"""What requests of one turn of the event loop share, and what the next turn sees."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from serving.api.cache import Cache
from serving.overlay import Declared
from serving.store import Control, open_store
from tests.serving.api.served import ANNA, AS_OF, NOW, fill, stable, world

if TYPE_CHECKING:
    from pathlib import Path


def test_a_turn_reads_one_state_and_the_next_turn_what_is_there_then(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'cache.sqlite'}"
    fill(tmp_path, url, world(), AS_OF)
    payload = json.dumps({"kind": "preference_cleared", "dimension": None}).encode()

    async def read() -> None:
        cache = Cache(url, lambda: NOW, lambda: None, Declared({}, {}))
        await cache.look()
        before = cache.read(stable(ANNA))
        assert before is not None
        assert before.controls == ()
        with open_store(url) as store:
            store.add_control(Control(stable(ANNA), "event", payload))
        assert cache.read(stable(ANNA)) == before
        await asyncio.sleep(0)
        after = cache.read(stable(ANNA))
        assert after is not None
        assert after.controls == (payload,)
        await cache.close()

    asyncio.run(read())

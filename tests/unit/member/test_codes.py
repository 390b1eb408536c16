"""Waiting for a descriptor, which a closing member may give up at any moment."""

import asyncio
import os
from contextlib import suppress

from tasklet_runner.member.codes import readable


def test_a_wait_that_was_given_up_leaves_the_next_one_on_the_same_descriptor_able_to_hear() -> None:
    async def story() -> None:
        first, unused = os.pipe()
        waiting = asyncio.create_task(readable(first))
        await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        os.close(first)
        os.close(unused)

        again, writing = os.pipe()
        os.write(writing, b"x")
        try:
            assert again == first, "the kernel gives the lowest free number, so both waits name the same one"
            await asyncio.wait_for(readable(again), 5)
        finally:
            os.close(again)
            os.close(writing)

    asyncio.run(story())

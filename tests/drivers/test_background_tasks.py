"""What goes on beside the requests goes on until the gateway stops."""

import asyncio

import pytest

from gateway.drivers.background import keep_running


async def test_a_task_that_meets_a_bug_begins_again_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, again = 0, asyncio.Event()
    slept: list[float] = []

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise RuntimeError("a bug")
        again.set()
        await asyncio.Event().wait()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    task = asyncio.create_task(keep_running("the watch", work, sleep))
    await again.wait()
    assert caplog.messages == ["the watch: a bug; it begins again"] * 2
    assert "RuntimeError: a bug" in caplog.text
    assert len(slept) == 2
    assert min(slept) > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert begun == 3

"""What the API server says is asked once, remembered for a while, and never beyond bounds."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

import pytest

from leasegrid_operator.broker.limits import Limits, Room
from leasegrid_operator.broker.verdicts import Verdicts
from leasegrid_operator.cluster import Reviewed
from tasklet_runner.wire.errors import OverloadedError, RefusedError, UnreachableError
from tests.support.broker import TOKEN, USER, TableGate

WHO = Reviewed(True, USER)


def told(story: Callable[[TableGate, Verdicts], Coroutine[None, None, None]], **limits: object) -> TableGate:
    gate = TableGate()
    asyncio.run(story(gate, Verdicts(gate, replace(Limits(), **limits))))  # type: ignore[arg-type]  # of the fields' types
    return gate


def test_a_hundred_callers_with_one_token_are_one_question() -> None:
    async def story(_: TableGate, verdicts: Verdicts) -> None:
        found = await asyncio.gather(*(verdicts.identify(TOKEN) for _ in range(100)))
        assert {one.user for one in found} == {USER}
        await asyncio.gather(*(verdicts.permit(WHO, "create", "default") for _ in range(100)))

    assert told(story).asked == ["token", "create"]


def test_an_answer_is_forgotten_after_its_time() -> None:
    async def story(_: TableGate, verdicts: Verdicts) -> None:
        await verdicts.identify(TOKEN)
        await asyncio.sleep(0.02)
        await verdicts.identify(TOKEN)

    assert told(story, verdict_seconds=0.01).asked == ["token", "token"]


def test_only_the_latest_answers_are_kept() -> None:
    async def story(gate: TableGate, verdicts: Verdicts) -> None:
        gate.tokens["other"] = "other"
        for token in (TOKEN, "other", TOKEN):
            await verdicts.identify(token)

    assert told(story, verdicts=1).asked == ["token"] * 3


@pytest.mark.parametrize("token", ["", "x" * 20_000, "forged"], ids=["none", "too long", "forged"])
@pytest.mark.unhappy("no token, or one of nobody: refused with the audience and the header")
def test_a_token_of_nobody_is_refused_in_words(token: str) -> None:
    async def story(_: TableGate, verdicts: Verdicts) -> None:
        with pytest.raises(RefusedError, match="X-Leasegrid-Token") as refused:
            await verdicts.identify(token)
        assert refused.value.reason == "Unauthenticated"

    told(story)


@pytest.mark.unhappy("a tenant without RBAC: the verb, the resource, the namespace and the ClusterRole that gives it")
def test_who_lacks_the_verb_hears_which_role_gives_it() -> None:
    async def story(gate: TableGate, verdicts: Verdicts) -> None:
        gate.denied.add(("create", "other"))
        with pytest.raises(RefusedError) as refused:
            await verdicts.permit(WHO, "create", "other")
        assert refused.value.reason == "Forbidden"
        assert refused.value.cause == f"{USER} may not create leases.leasegrid.dev in the namespace other"
        assert "ClusterRole leasegrid-lease-user" in refused.value.remedy
        assert "--serviceaccount=default:holder" in refused.value.remedy
        with pytest.raises(RefusedError, match="--user=jane"):
            await verdicts.permit(Reviewed(True, "jane"), "create", "other")

    told(story)


@pytest.mark.unhappy("the API server is away: said so, and asked anew at the next request")
def test_no_answer_is_not_remembered() -> None:
    async def story(gate: TableGate, verdicts: Verdicts) -> None:
        gate.away = True
        with pytest.raises(UnreachableError, match="could not judge"):
            await verdicts.identify(TOKEN)
        gate.away = False
        assert (await verdicts.identify(TOKEN)).user == USER

    assert told(story).asked == ["token", "token"]


@pytest.mark.unhappy("a crowd of unknown tokens: bounded at the API server, the rest is refused")
def test_unknown_tokens_beyond_the_bound_are_refused_and_the_first_ones_are_answered() -> None:
    async def story(gate: TableGate, verdicts: Verdicts) -> None:
        gate.hold = asyncio.Event()
        asking = [asyncio.create_task(verdicts.identify(f"forged {number}")) for number in range(5)]
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert all(isinstance(one.exception(), OverloadedError) for one in done)
        assert gate.asked == ["token"] * 2
        gate.hold.set()
        errors = await asyncio.gather(*asking, return_exceptions=True)
        assert sum(isinstance(error, RefusedError) for error in errors) == 4

    told(story, reviews=Room(total=2, of_one=4))


def test_who_asked_first_may_go_away_while_others_wait() -> None:
    async def story(gate: TableGate, verdicts: Verdicts) -> None:
        gate.hold = asyncio.Event()
        first = asyncio.create_task(verdicts.identify(TOKEN))
        second = asyncio.create_task(verdicts.identify(TOKEN))
        await asyncio.sleep(0)
        first.cancel()
        gate.hold.set()
        assert (await second).user == USER

    assert told(story).asked == ["token"]

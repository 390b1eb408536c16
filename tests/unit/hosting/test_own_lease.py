"""A coordinator whose own lease brings its first workers."""

import asyncio

from msgspec.structs import replace

from tasklet_runner.fabric.protocol import LeasedMember, LeaseRequest, LeaseView, Receipt
from tasklet_runner.hosting.own_lease import OwnLeaseFabric, OwnTerms

TERMS = OwnTerms(pools=("cpu",), slots=1, memory=1024, cpu_features=())
REQUEST = LeaseRequest(request_id="r", holder_key="k", count=3, pools=("cpu",), memory=512)


def member(name: str) -> LeasedMember:
    return LeasedMember(name=name, endpoint="http://m", incarnation="i", epoch=1, slots=1, tasklet_memory=1024)


OWN = LeaseView(
    uid="own", name="own", version=1, members=(member("me"),), capabilities=("c",), expires_in=30, ttl_seconds=30,
    wanted=1,
)  # fmt: skip


class Noting:
    """A fabric that notes what it is asked, and gives the lease a version more each time."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        self.calls.append(("acquire", request.count))
        return replace(OWN, uid="other", name="other")

    async def watch(self, uid: str, version: int) -> LeaseView:
        return self._view("watch", uid, version)

    async def renew(self, uid: str) -> LeaseView:
        return self._view("renew", uid)

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        return self._view("resize", uid, count, give_back)

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        return self._view("lost", uid, member)

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        self.calls.append(("release", uid))
        return Receipt(lease_uid=uid, reason=reason, members=())

    def _view(self, *call: object) -> LeaseView:
        self.calls.append(call)
        return replace(OWN, uid=str(call[1]), version=len(self.calls) + 1, members=(member("me"), member("you")))


def test_the_first_request_that_it_can_serve_makes_its_own_lease_larger() -> None:
    async def story() -> None:
        noting = Noting()
        fabric = OwnLeaseFabric(noting, OWN, TERMS)
        assert (await fabric.acquire(replace(REQUEST, memory=4096))).uid == "other"
        assert (await fabric.acquire(replace(REQUEST, resource="Memory", pools=()))).uid == "other"
        assert (await fabric.acquire(REQUEST)).uid == "own"
        assert (await fabric.acquire(REQUEST)).uid == "other"
        assert noting.calls == [("acquire", 3), ("acquire", 3), ("resize", "own", 3, ()), ("acquire", 3)]

    asyncio.run(story())


def test_the_member_of_the_process_itself_is_never_given_back() -> None:
    async def story() -> None:
        noting = Noting()
        fabric = OwnLeaseFabric(noting, OWN, TERMS)
        await fabric.acquire(REQUEST)
        await fabric.resize("own", 0, ("me", "you"))
        await fabric.report_lost("own", "me", "silent")
        await fabric.report_lost("own", "you", "silent")
        await fabric.release("own")
        assert noting.calls[1:] == [
            ("resize", "own", 1, ("you",)),
            ("renew", "own"),
            ("lost", "own", "you"),
            ("resize", "own", 1, ("you",)),
        ]

    asyncio.run(story())


def test_other_leases_are_the_fabrics() -> None:
    async def story() -> None:
        noting = Noting()
        fabric = OwnLeaseFabric(noting, OWN, TERMS)
        await fabric.resize("other", 2, ("me",))
        await fabric.report_lost("other", "me", "silent")
        await fabric.watch("other", 4)
        await fabric.release("other")
        assert noting.calls == [
            ("resize", "other", 2, ("me",)),
            ("lost", "other", "me"),
            ("watch", "other", 4),
            ("release", "other"),
        ]

    asyncio.run(story())

"""A job's store, as a command line reaches it: files are put and outputs read under grants, also by a port-forward."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from leasegrid.cli.job_doors import reached_store
from leasegrid.cli.uploading import Parcel, deliver, measured
from tasklet_runner.client.granted_store import GrantedStore
from tasklet_runner.fabric.protocol import LeasedMember, LeaseView
from tasklet_runner.hosting.job_store import JobStoreClient
from tasklet_runner.plan.types import Layout
from tasklet_runner.store.protocol import NewObject, all_commits
from tasklet_runner.store.results import export_results
from tasklet_runner.wire.errors import ClusterError, InputError, RefusedError, StoreError
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tasklet_runner.wire.store_access import EVERYTHING, StoreAccess
from tasklet_runner.wire.uploads import UPLOADS_PREFIX, UploadedFile, Uploads, file_key
from tests.process.test_cli_port_forward import api_server
from tests.support.store_members import HeldStore, held_store
from tests.support.stores import MEBIBYTE, commit


@dataclass(frozen=True)
class Door:
    """A store under lease, and its holder's signature under what is granted."""

    held: HeldStore

    @property
    def uid(self) -> str:
        return self.held.rig.bind(self.held.state, 1).lease_uid

    def put(self, max_bytes: int = 32 * MEBIBYTE) -> str:
        """Uploads, before a coordinator is there."""
        grant = PutGrant(
            store=self.uid,
            term=self.held.state.epoch,
            key_prefix=UPLOADS_PREFIX,
            max_bytes=max_bytes,
            expires_at=time.time() + 60,
        )
        return sign(grant, self.held.rig.holder)

    def get(self, term: int = 1, prefix: str = EVERYTHING) -> str:
        """What is read."""
        grant = GetGrant(store=self.uid, term=term, key_prefix=prefix, expires_at=time.time() + 60)
        return sign(grant, self.held.rig.holder)

    def view(self) -> LeaseView:
        """The lease, as a coordinator has it."""
        state = self.held.state
        member = LeasedMember(
            name=state.member,
            endpoint=self.held.rig.endpoint,
            incarnation=state.incarnation,
            epoch=state.epoch,
            slots=0,
            tasklet_memory=0,
            pool="memory",
        )
        return LeaseView(
            uid=self.uid,
            name="store",
            version=1,
            members=(member,),
            capabilities=(self.held.capability(),),
            expires_in=60.0,
            ttl_seconds=60,
            wanted=1,
        )

    def access(self, endpoint: str, member: str = "m0") -> StoreAccess:
        """As the operator gives it."""
        return StoreAccess(member=member, endpoint=endpoint, get=self.get(), put=self.put(), expires_at=0.0)


@asynccontextmanager
async def door(root: Path, quota: int = 64 * MEBIBYTE) -> AsyncIterator[Door]:
    async with held_store(root, quota=quota) as held:
        yield Door(held)


def parcel(root: Path, **contents: bytes) -> Parcel:
    """Files with these contents, as they are packed."""
    files, paths, sizes = [], {}, {}
    for name, content in contents.items():
        path = root / name
        path.write_bytes(content)
        digest, size = measured(path)
        paths[digest], sizes[digest] = path, size
        files.append(UploadedFile(f"uploaded:/{name}", size, digest))
    return Parcel(Uploads({one.location: (one,) for one in files}), paths, sizes)


def test_files_go_and_outputs_come_through_a_port_forward(tmp_path: Path) -> None:
    sent = parcel(tmp_path, small=b"small", empty=b"", large=b"x" * (3 * MEBIBYTE))

    async def check() -> None:
        async with door(tmp_path) as here, api_server(tmp_path, tmp_path / "m.sock") as (server, cluster):
            # Nobody listens at the pod's own address.
            access = here.access("http://127.0.0.1:9")
            async with reached_store(cluster, access) as endpoint:
                digest = await deliver(sent, endpoint, access.put)
                assert await deliver(sent, endpoint, access.put) == digest, "the same again is no error"
            async with reached_store(cluster, access) as endpoint, GrantedStore(endpoint, access.get) as store:
                assert msgspec.json.decode(await store.read(file_key(digest)), type=Uploads) == sent.uploads
                for one, path in sent.paths.items():
                    assert await store.read(file_key(one)) == path.read_bytes()
            assert server.asked

    asyncio.run(check())


def test_outputs_and_records_are_read_while_a_coordinator_of_any_term_writes(tmp_path: Path) -> None:
    async def check() -> None:
        async with door(tmp_path) as here:
            store = here.held.store
            await store.put("main/0/1/stdout", b"0123456789")
            for term in (1, 2):
                async with GrantedStore(here.held.rig.endpoint, here.get(term)) as reader:
                    assert await reader.read("main/0/1/stdout", 2, 3) == b"234"
                    assert await reader.read("main/0/1/stdout", 10, 5) == b""
                    assert [one async for one in all_commits(reader, "main")] == []
                    with pytest.raises(KeyError):
                        await reader.read("main/1/1/stdout")

    asyncio.run(check())


@pytest.mark.parametrize("size", [10, 50_000])
def test_many_outputs_are_exported_as_they_are(tmp_path: Path, size: int) -> None:
    contents = [bytes([number % 256]) * size for number in range(300)]

    async def check() -> None:
        async with door(tmp_path) as here:
            writer = JobStoreClient(here.view(), here.held.rig.holder, 1)
            await writer.open()
            for number, content in enumerate(contents):
                await writer.write([NewObject(f"main/{number}/1/stdout", content)], [commit(number)])
            await writer.close()
            async with GrantedStore(here.held.rig.endpoint, here.get()) as store:
                report = await export_results(store, "main", tmp_path / "out", Layout.BY_INDEX)
            assert (report.files, report.byte_count) == (300, 300 * size)

    asyncio.run(check())
    for number, content in enumerate(contents):
        assert (tmp_path / "out" / str(number) / "stdout").read_bytes() == content


@pytest.mark.unhappy("a grant of some objects, or of an older term, shown for all")
def test_a_grant_that_is_not_of_everything_lists_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with door(tmp_path) as here:
            endpoint = here.held.rig.endpoint
            async with GrantedStore(endpoint, here.get(prefix="main")) as reader:
                with pytest.raises(RefusedError):
                    await reader.commits("main")
            async with GrantedStore(endpoint, here.get(term=0)) as reader:
                with pytest.raises(StoreError):
                    await reader.commits("main")

    asyncio.run(check())


@pytest.mark.unhappy("a file that changes while it is uploaded, small and large")
@pytest.mark.parametrize("size", [10, 2 * MEBIBYTE])
@pytest.mark.parametrize("grown", [0, 5])
def test_a_file_that_changed_is_told_and_not_taken(tmp_path: Path, size: int, grown: int) -> None:
    sent = parcel(tmp_path, one=b"x" * size)
    (tmp_path / "one").write_bytes(b"y" * (size + grown))

    async def check() -> None:
        async with door(tmp_path) as here:
            with pytest.raises(InputError, match="changed while it was read"):
                await deliver(sent, here.held.rig.endpoint, here.put())
            (digest,) = sent.paths
            async with GrantedStore(here.held.rig.endpoint, here.get()) as store:
                with pytest.raises(KeyError):
                    await store.read(file_key(digest))

    asyncio.run(check())


@pytest.mark.unhappy("a store that is full; more than was granted")
def test_uploads_without_room_are_refused(tmp_path: Path) -> None:
    sent = parcel(tmp_path, one=b"x" * (2 * MEBIBYTE))

    async def check() -> None:
        async with door(tmp_path, quota=MEBIBYTE) as here:
            with pytest.raises(StoreError):
                await deliver(sent, here.held.rig.endpoint, here.put())
            with pytest.raises(RefusedError):
                await deliver(sent, here.held.rig.endpoint, here.put(max_bytes=1000))

    asyncio.run(check())


@pytest.mark.unhappy("no right to port-forward; another host at the member's address")
def test_a_store_that_cannot_be_reached_says_what_right_is_missing(tmp_path: Path) -> None:
    async def check() -> str:
        async with door(tmp_path) as here, api_server(tmp_path, tmp_path / "m.sock") as (_, cluster):
            access = here.access(here.held.rig.endpoint, member="forbidden")
            with pytest.raises(ClusterError) as refused:
                async with reached_store(cluster, access) as endpoint, GrantedStore(endpoint, access.get) as store:
                    await store.commits("main")
            return str(refused.value)

    said = asyncio.run(check())
    assert "you may not get pods/portforward in namespace 'lab'" in said
    assert "get and create pods/portforward" in said

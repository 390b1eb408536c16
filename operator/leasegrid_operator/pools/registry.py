"""The pools of one namespace: what is seen of their objects, and members that are made for one lease."""

import asyncio
from collections.abc import Mapping
from typing import Any

from leasegrid.api.loading import read_object
from leasegrid.api.pool import InstancePool, InstancePoolSpec
from leasegrid.leasing.pools import Pool
from leasegrid.rules.pool_state import NO_FAILURES, Complaint
from leasegrid_operator.pools.books import KeptPool, shape_of
from leasegrid_operator.pools.defaults import default_pool
from leasegrid_operator.pools.pods import LEASE_KIND, POOL_KIND, MemberTemplate, Owner
from leasegrid_operator.pools.storage import StorageVerdict
from leasegrid_operator.pools.templates import MemberSettings


class PoolBook:
    """All kept pools, by uid. `pools` is the engine's own table, in which those stand that can be claimed from.

    `default` is the name of the default pool, empty when there is none, or more than one.
    """

    def __init__(self, pools: dict[str, Pool], settings: MemberSettings) -> None:
        self._pools = pools
        self._settings = settings
        self._kept: dict[str, KeptPool] = {}
        self.default = ""
        self.default_complaint: Complaint | None = None

    def all(self) -> list[KeptPool]:
        """Every kept pool."""
        return list(self._kept.values())

    def find(self, uid: str) -> KeptPool | None:
        """The pool, or the lease's own, of that uid."""
        return self._kept.get(uid)

    def named(self, name: str) -> KeptPool | None:
        """The pool of that name."""
        return next((kept for kept in self._kept.values() if not kept.provisioned and kept.owner.name == name), None)

    def see(self, body: Mapping[str, Any]) -> KeptPool:
        """A pool as it is now. One whose spec cannot be used stays as it was, and says why."""
        metadata = body["metadata"]
        owner = Owner(POOL_KIND, metadata["name"], metadata["uid"], metadata["namespace"])
        kept = self._kept.get(owner.uid)
        loaded, faults = read_object(body)
        if isinstance(loaded, InstancePool):
            kept = self._take(owner, loaded.spec, kept)
            kept.is_default = loaded.is_default
        elif kept is None:
            # Nothing is known of it but that it is wrong: it stands in no table, so no lease gets a member of it.
            kept = self._keep(owner, InstancePoolSpec(target_size=0))
        kept.faults = "; ".join(faults)
        kept.generation = metadata.get("generation", 0)
        self._settle_default()
        return kept

    def provide(self, owner: Owner, spec: InstancePoolSpec) -> KeptPool:
        """Members for one lease alone, whose owner is that Lease; a second call changes nothing."""
        return self._kept.get(owner.uid) or self._take(owner, spec, None)

    def judge(self, kept: KeptPool, verdict: StorageVerdict) -> None:
        """What its StorageClass means for a pool of Block members."""
        kept.complaint = verdict.complaint
        if verdict.access_mode != kept.template.access_mode:
            kept.template = MemberTemplate(kept.owner, kept.pool.spec, self._settings, verdict.access_mode)

    def forget(self, uid: str) -> KeptPool | None:
        """A pool is gone."""
        kept = self._kept.pop(uid, None)
        if kept is not None and self._pools.get(kept.pool.name) is kept.pool:
            del self._pools[kept.pool.name]
        self._settle_default()
        return kept

    def _take(self, owner: Owner, spec: InstancePoolSpec, kept: KeptPool | None) -> KeptPool:
        if kept is None:
            kept = self._keep(owner, spec)
        elif spec != kept.pool.spec:
            self._change(kept, spec)
        self._pools.setdefault(kept.pool.name, kept.pool)
        return kept

    def _keep(self, owner: Owner, spec: InstancePoolSpec) -> KeptPool:
        template = MemberTemplate(owner, spec, self._settings)
        lease = owner.uid if owner.kind == LEASE_KIND else ""
        pool = Pool(pool_key(owner), spec, shape_of(template), owner=lease)
        kept = KeptPool(owner, pool, template, asyncio.get_running_loop().time())
        self._kept[owner.uid] = kept
        return kept

    def _change(self, kept: KeptPool, spec: InstancePoolSpec) -> None:
        template = MemberTemplate(kept.owner, spec, self._settings, kept.template.access_mode)
        if template.hash != kept.template.hash:
            kept.template_since = asyncio.get_running_loop().time()
            # What failed before may be what has been mended.
            kept.pool.failures = NO_FAILURES
        kept.template, kept.pool.spec, kept.pool.shape = template, spec, shape_of(template)

    def _settle_default(self) -> None:
        marked = {kept.owner.name: kept.is_default for kept in self._kept.values() if not kept.provisioned}
        self.default, self.default_complaint = default_pool(marked)


def pool_key(owner: Owner) -> str:
    """The name by which the engine knows it: that of members made for a lease is no name that a pool can have."""
    return owner.name if owner.kind == POOL_KIND else f"lease/{owner.uid}"

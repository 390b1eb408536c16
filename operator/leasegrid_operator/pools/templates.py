"""What counts as a change of a pool's members: the template that a pod was made from, as one short hash."""

import hashlib
import json
from dataclasses import dataclass

from leasegrid.api.common import Model
from leasegrid.api.enums import Reuse
from leasegrid.api.pool import InstancePoolSpec
from leasegrid_operator.pools.sizes import member_sizes

HASH_CHARACTERS = 16


@dataclass(frozen=True)
class MemberSettings:
    """What every member of this operator is told. `fabric_key`: the operator's public key, base64url; `notify`: where
    hints go; `command` and `port` are those of the image; `priority_class`: of pods whose pool names none, or empty.
    `tls`: they serve HTTPS; `notify_ca`: who vouches for an https `notify` (PEM); `notify_name`: the name in its
    certificate, empty for the host of `notify`.
    """

    image: str
    fabric_key: str
    notify: str
    image_pull_policy: str = "IfNotPresent"
    command: tuple[str, ...] = ("python", "-m", "tasklet_runner", "member")
    port: int = 8080
    priority_class: str = ""
    tls: bool = False
    notify_ca: str = ""
    notify_name: str = ""


def template_hash(spec: InstancePoolSpec, settings: MemberSettings) -> str:
    """A hash of all that makes members differ: resources, requests, storage, template, reuse and image. Sizes of the
    pool and times are no part of it, and neither are the key and the address of an operator that was started anew.
    """
    sizes = member_sizes(spec)
    parts = {
        "image": [settings.image, settings.image_pull_policy, *settings.command],
        "resource": spec.resource.value,
        "reuse": reuse_of(spec).value,
        "sizes": [sizes.slots, sizes.cpu, sizes.memory, sizes.scratch, sizes.quota],
        "requests": as_written(spec.requests),
        "storage": as_written(spec.storage) if spec.storage is not None else None,
        "template": as_written(spec.template),
    }
    if settings.priority_class:
        parts["priority"] = settings.priority_class
    if settings.tls:
        # Members that know an authority which is another by now would not be believed, nor believe.
        parts["tls"] = [settings.notify_ca, settings.notify_name]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]


def reuse_of(spec: InstancePoolSpec) -> Reuse:
    """What becomes of a member after a lease, defaults resolved."""
    return Reuse.RESET if spec.reused else Reuse.REPLACE


def as_written(model: Model) -> dict[str, object]:
    """A part of a spec as it stands in YAML, without what is not said: a field that a later version adds changes
    nothing.
    """
    written: dict[str, object] = model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return written

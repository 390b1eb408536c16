"""Names, labels and annotations of members' pods.

A label is only an index: who carries it is ours when its ownerReference says so.
"""

import re

PREFIX = "leasegrid.dev"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "leasegrid"
POOL_LABEL = f"{PREFIX}/pool"
RESOURCE_LABEL = f"{PREFIX}/resource"
LEASE_UID_LABEL = f"{PREFIX}/lease-uid"
BOUND_LABEL = f"{PREFIX}/bound"
"""Of a claim that has been a lease's: what is on it is to be served again. One that was made for a lease and never
bound to it has the same owner, and holds nothing.
"""
TEMPLATE_ANNOTATION = f"{PREFIX}/template"
FABRIC_KEY_FLAG = "--fabric-key"
"""The flag of a member with the operator's public key: it obeys no other."""

TLS_ANNOTATION = f"{PREFIX}/tls"
"""Of members that serve HTTPS by a key of their own: said by each pod, as those of an earlier setting live on."""

OUR_PODS = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
"""The label selector of every pod and claim that the operator makes."""

UID_CHARACTERS = 5
_NUMBER = re.compile(r"-(\d{1,18})\Z")


def member_name(owner_name: str, owner_uid: str, number: int) -> str:
    """The name of a member, of its pod and of its claim: unique for the life of its owner, and the same at each try."""
    return f"{owner_name}-{owner_uid[:UID_CHARACTERS]}-{number}"


def member_number(name: str, owner_name: str, owner_uid: str) -> int:
    """The number in a member's name; 0 for a name that this owner's members do not have."""
    stem = f"{owner_name}-{owner_uid[:UID_CHARACTERS]}"
    found = _NUMBER.search(name)
    return int(found[1]) if found and name[: found.start()] == stem else 0


def pool_selector(pool: str) -> str:
    """The label selector of a pool's pods, as autoscalers read it."""
    return f"{POOL_LABEL}={pool}"

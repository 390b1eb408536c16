"""How somebody who may change a job's object comes to the job's store, without the operator between them.

They put an X25519 public key of their own into the annotation `leasegrid.dev/access` (base64url). The operator answers
in `status.access`: a StoreAccess as MessagePack, sealed to that key (HPKE base mode, RFC 9180: X25519, HKDF-SHA256,
AES-256-GCM, info `ACCESS_INFO`), with grants that the holder of the store has signed (`wire.store`).
"""

import msgspec

ACCESS_INFO = b"leasegrid store access 1"

EVERYTHING = "*"
"""The prefix of a GetGrant that covers all objects of a store, and its commit records; no key begins with it."""


class StoreAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Where the store is, and what may be done there until `expires_at` (UNIX seconds).

    `put`: a PutGrant for uploads, empty once a coordinator was ordered. `get`: a GetGrant for everything.
    """

    member: str
    endpoint: str
    get: str
    put: str = ""
    expires_at: float

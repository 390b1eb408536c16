"""The operator's Ed25519 pair: one for the installation, in a Secret that the first replica makes."""

import base64
import binascii
import logging

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid_operator.cluster import Cluster, Object
from leasegrid_operator.errors import AlreadyExistsError, NotFoundError, SettingsError
from leasegrid_operator.logs import Action, log
from leasegrid_operator.resources import SECRETS, ObjectKey

NAME = "leasegrid-operator-key"
ENTRY = "ed25519"
"""The entry of the Secret with the 32 raw bytes of the private key; members are given the public half alone."""

_logger = logging.getLogger(__name__)


async def installation_key(cluster: Cluster, namespace: str) -> Ed25519PrivateKey:
    """The pair that all replicas share; made when there is none.

    Raises:
        SettingsError: the Secret is there and holds no such key.
        ClusterError: the Secret can be neither read nor made.
    """
    key = ObjectKey(namespace, NAME)
    try:
        found = _key_in(await cluster.get(SECRETS, key), key)
    except NotFoundError:
        return await _made(cluster, key)
    log(_logger, logging.DEBUG, Action.KEY_READ, "the installation's key was read", namespace=namespace, name=NAME)
    return found


async def _made(cluster: Cluster, key: ObjectKey) -> Ed25519PrivateKey:
    pair = Ed25519PrivateKey.generate()
    try:
        await cluster.create(SECRETS, _secret(pair, key))
    except AlreadyExistsError:  # another replica was faster, or the answer to our own create was lost
        return _key_in(await cluster.get(SECRETS, key), key)
    log(_logger, logging.INFO, Action.KEY_CREATED, "made the installation's key", namespace=key.namespace, name=NAME)
    return pair


def _secret(pair: Ed25519PrivateKey, key: ObjectKey) -> Object:
    return {
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {"app.kubernetes.io/managed-by": "leasegrid"},
        },
        "type": "Opaque",
        "immutable": True,
        "data": {ENTRY: base64.b64encode(pair.private_bytes_raw()).decode()},
    }


def _key_in(secret: Object, key: ObjectKey) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret["data"][ENTRY], validate=True))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise SettingsError(
            f"the Secret {key} holds no Ed25519 key in {ENTRY!r}",
            remedy=f"put it back, or delete it (kubectl --namespace {key.namespace} delete secret {key.name}), "
            "and restart the operator: a new one is made, and members that know the old one are replaced",
        ) from error

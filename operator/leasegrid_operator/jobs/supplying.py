"""ConfigMaps and Secrets that a job names, read when its coordinator is ordered: into the sealed order alone.

They are read by name in the job's own namespace and never watched, so that the operator needs no right to list Secrets
and keeps none of them.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from leasegrid.rules.supplies import Needs, config_map_key
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import ForbiddenError, NotFoundError
from leasegrid_operator.resources import CONFIG_MAPS, SECRETS, ObjectKey, Resource
from tasklet_runner.plan.types import Source
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.jobs import Supplies

Body = Mapping[str, Any]
Value = TypeVar("Value")

MAX_BYTES = 8 * 1024 * 1024
"""Of all ConfigMaps of a job together: an order has room for a plan besides."""

DOCKER_CONFIG = ".dockerconfigjson"
BUCKET_KEYS = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_SKIP_SIGNATURE",
    }
)
_BUCKET_WORDS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_SKIP_SIGNATURE)"


class LackingError(LeaseGridError):
    """What a job names of its namespace is not there, or is not what it needs; all of it is named."""

    code = "ReferenceMissing"


class WrongObjectError(Exception):
    """One object that is no good, in words."""


async def fetch_supplies(cluster: Cluster, namespace: str, needs: Needs) -> Supplies:
    """All that the job needs. Raises LackingError, and ClusterError when the API server cannot be asked."""
    reader = _Reader(cluster, namespace)
    contents: dict[str, bytes] = {}
    for source in needs.contents:
        name, _ = config_map_key(source.uri)
        contents[source.uri] = await reader.read(CONFIG_MAPS, name, partial(content_of, source=source)) or b""
    logins: dict[str, bytes] = {}
    for name in needs.pull_secrets:
        logins[name] = await reader.read(SECRETS, name, docker_config_of) or b""
    bucket: dict[str, str] = {}
    if needs.data_secret:
        bucket = await reader.read(SECRETS, needs.data_secret, bucket_options_of) or {}
    if sum(map(len, contents.values())) > MAX_BYTES:
        reader.lacking.append(f"the ConfigMaps have more than {MAX_BYTES // 1024**2} MiB together: use url or oci")
    if reader.lacking:
        raise LackingError("; ".join(reader.lacking))
    return Supplies(contents=contents, docker_configs=logins, bucket=bucket)


class _Reader:
    """Reads objects of one namespace, and collects what is wrong with them."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.lacking: list[str] = []

    async def read(self, resource: Resource, name: str, parse: Callable[[Body], Value]) -> Value | None:
        try:
            return parse(await self._cluster.get(resource, ObjectKey(self._namespace, name)))
        except NotFoundError:
            self.lacking.append(f"{resource.kind} {name} is not in namespace {self._namespace}: create it")
        except ForbiddenError as error:
            self.lacking.append(f"{resource.kind} {name} may not be read by the operator: {error.remedy}")
        except WrongObjectError as wrong:
            self.lacking.append(f"{resource.kind} {name} {wrong}")
        return None


def content_of(config_map: Body, source: Source) -> bytes:
    """The bytes under the key that the source names. Raises WrongObjectError."""
    _, key = config_map_key(source.uri)
    text, binary = (config_map.get("data") or {}).get(key), (config_map.get("binaryData") or {}).get(key)
    if text is None and binary is None:
        found = sorted({**(config_map.get("data") or {}), **(config_map.get("binaryData") or {})})
        raise WrongObjectError(f"has no key {key} (it has: {', '.join(found[:10]) or 'none'}): add it")
    content = text.encode() if text is not None else base64.b64decode(binary or "")
    digest = hashlib.sha256(content).hexdigest()
    if source.digest and source.digest.lower() != digest:
        raise WrongObjectError(f"has under {key} the SHA-256 {digest}, the job says {source.digest}: put it right")
    return content


def docker_config_of(secret: Body) -> bytes:
    """The document of logins in a Secret of type kubernetes.io/dockerconfigjson. Raises WrongObjectError."""
    given = (secret.get("data") or {}).get(DOCKER_CONFIG)
    if not given:
        raise WrongObjectError(f"has no key {DOCKER_CONFIG}: make it with kubectl create secret docker-registry")
    return base64.b64decode(given)


def bucket_options_of(secret: Body) -> dict[str, str]:
    """What enters buckets, of the keys that are known. Raises WrongObjectError: those are not enough, or no text."""
    data = secret.get("data") or {}
    try:
        options = {key: base64.b64decode(data[key]).decode().strip() for key in BUCKET_KEYS & data.keys()}
    except UnicodeDecodeError as error:
        raise WrongObjectError("has a value that is no text: put it right") from error
    keyed = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= options.keys()
    if not keyed and "AWS_SKIP_SIGNATURE" not in options:
        raise WrongObjectError(f"lacks keys: it must have {_BUCKET_WORDS}")
    return options

"""A cluster through the user's own kubeconfig and rights: the CLI's one module that imports the Kubernetes client."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Self, cast

import aiohttp
from kubernetes.aio.client import ApiClient, ApiException, Configuration, CustomObjectsApi
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from leasegrid.api.common import API_VERSION
from leasegrid.cli.cluster_options import Where, default_kubeconfig
from leasegrid.cli.cluster_refusals import ALREADY_EXISTS, Request, refusal, status_of
from tasklet_runner.wire.errors import ClusterError, LeaseGridError

GROUP, VERSION = API_VERSION.split("/")
LEASES, POOLS = "leases", "instancepools"
Raw = dict[str, Any]

_MERGE = "application/merge-patch+json"
_ANSWER_SECONDS = 30
_WATCH_SECONDS = 120
"""The server ends a watch then, and it is begun anew: a connection that died without a word is not waited on."""
_TRIES = 30
_PAUSE_SECONDS = 1.0
_IN_CLUSTER_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
_UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)


class Cluster:
    """One namespace of one cluster. Every call raises ClusterError, NoSuchObjectError or InvalidObjectError, which say
    what to do.
    """

    def __init__(self, configuration: Configuration, where: Where, context: str, namespace: str) -> None:
        self.where = where
        self.context = context
        self.namespace = namespace
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._objects = CustomObjectsApi(self._client)

    @classmethod
    async def named(cls, where: Where) -> Self:
        """The cluster that the options name; nothing is asked of it yet."""
        # Not the class's own default, which is shared by the whole process.
        configuration = Configuration()
        path = where.kubeconfig or default_kubeconfig()
        try:
            if _is_within_cluster(path, where):
                load_incluster_config(client_configuration=configuration)
                return cls(configuration, where, "in-cluster", where.namespace or _own_namespace())
            _check_is_there(path)
            loader = await load_kube_config(path, where.context, configuration, persist_config=False)
        except (ConfigException, OSError, ValueError, TypeError) as error:
            raise _no_configuration(path, where, error) from error
        current = loader.current_context
        namespace = (current.get("context") or {}).get("namespace")
        return cls(configuration, where, current["name"], where.namespace or namespace or "default")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, plural: str, name: str) -> Raw:
        """One object."""
        asked = self._request("get", plural, name)
        call = self._objects.get_namespaced_custom_object(*self._path(plural), name, _request_timeout=_ANSWER_SECONDS)
        return cast(Raw, await self._answer(asked, call))

    async def list(self, plural: str, *, everywhere: bool = False) -> list[Raw]:
        """All objects of the namespace, or of all namespaces."""
        asked = self._request("list", plural, "")
        if everywhere:
            call = self._objects.list_cluster_custom_object(GROUP, VERSION, plural, _request_timeout=_ANSWER_SECONDS)
        else:
            path = self._path(plural)
            call = self._objects.list_namespaced_custom_object(*path, _request_timeout=_ANSWER_SECONDS)
        return cast(list[Raw], (await self._answer(asked, call))["items"])

    async def create(self, plural: str, body: Raw) -> tuple[Raw, bool]:
        """Make an object; the second part is False when one of that name was there already, which is returned."""
        name = body["metadata"]["name"]
        call = self._objects.create_namespaced_custom_object(
            *self._path(plural), body, _request_timeout=_ANSWER_SECONDS, field_validation="Strict"
        )
        try:
            return await self._answer(self._request("create", plural, name), call), True
        except LeaseGridError as error:
            if not _is_taken(error):
                raise
        return await self.get(plural, name), False

    async def patch(self, plural: str, name: str, body: Raw) -> Raw:
        """Change an object by a merge patch (RFC 7396)."""
        call = self._objects.patch_namespaced_custom_object(
            *self._path(plural), name, body, _content_type=_MERGE, _request_timeout=_ANSWER_SECONDS
        )
        return cast(Raw, await self._answer(self._request("patch", plural, name), call))

    async def delete(self, plural: str, name: str, uid: str) -> None:
        """Delete the very object of that uid."""
        call = self._objects.delete_namespaced_custom_object(
            *self._path(plural), name, body={"preconditions": {"uid": uid}}, _request_timeout=_ANSWER_SECONDS
        )
        await self._answer(self._request("delete", plural, name), call)

    async def follow(self, plural: str, name: str) -> AsyncGenerator[Raw | None]:
        """The object now and after each change, None once it is deleted. A server that is away for a while is waited
        for.
        """
        version = ""
        failures = 0
        while True:
            try:
                found = await self.get(plural, name)
                failures = 0
                if found["metadata"]["resourceVersion"] != version:
                    version = found["metadata"]["resourceVersion"]
                    yield found
                async for event in self._events(plural, name, version):
                    if event["type"] == "DELETED":
                        yield None
                        return
                    if event["type"] == "ERROR":
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    yield event["object"]
            except (ClusterError, *_UNREACHABLE) as error:
                failures += 1
                if not version or failures > _TRIES or _is_final(error):
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)

    @asynccontextmanager
    async def port(self, pod: str, number: int) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket of `pods/portforward` to one port of a pod; see `forwarding` for what travels on it."""
        # Here and not above: its models take half a second to import, and few commands need a pod.
        from kubernetes.aio.client import CoreV1Api
        from kubernetes.aio.stream import WsApiClient

        asked = self._request("get", "pods/portforward", pod)
        client = WsApiClient(self._configuration)
        try:
            call = CoreV1Api(client).connect_get_namespaced_pod_portforward_without_preload_content(
                pod, self.namespace, ports=str(number)
            )
            opening = await self._answer(asked, call)
            try:
                socket = await opening
            except aiohttp.WSServerHandshakeError as error:
                raise refusal(error.status, error.message, asked) from error
            except _UNREACHABLE as error:
                raise self._unreachable(error) from error
            try:
                yield socket
            finally:
                await socket.close()
        finally:
            await client.close()

    async def _events(self, plural: str, name: str, version: str) -> AsyncGenerator[Raw]:
        response = await self._objects.list_namespaced_custom_object_without_preload_content(
            *self._path(plural),
            field_selector=f"metadata.name={name}",
            resource_version=version,
            watch=True,
            timeout_seconds=_WATCH_SECONDS,
            _request_timeout=_WATCH_SECONDS + _ANSWER_SECONDS,
        )
        try:
            if response.status != 200:
                raise refusal(response.status, await response.text(), self._request("watch", plural, name))
            async for line in response.content:
                yield json.loads(line)
        finally:
            response.close()

    async def _answer(self, asked: Request, call: Awaitable[Any]) -> Any:  # noqa: ANN401 - JSON of any kind
        try:
            return await call
        except ApiException as error:
            raise refusal(error.status or 0, error.body or str(error.reason), asked) from error
        except _UNREACHABLE as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> ClusterError:
        return ClusterError(
            f"the cluster of context {self.context!r} does not answer at {self._configuration.host}: "
            f"{str(error) or type(error).__name__}",
            remedy="check that it runs and that this machine reaches it, or choose another with --context",
        )

    def _request(self, verb: str, plural: str, name: str) -> Request:
        return Request(verb, plural, name, self.namespace, self.context)

    def _path(self, plural: str) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, plural


@asynccontextmanager
async def opened(where: Where) -> AsyncIterator[Cluster]:
    """The cluster that the options name, closed afterwards."""
    cluster = await Cluster.named(where)
    try:
        yield cluster
    finally:
        await cluster.close()


def _is_final(error: BaseException) -> bool:
    """True for an answer that another try would get again; a server that restarts answers with 5xx."""
    cause = error.__cause__
    return isinstance(cause, ApiException) and (cause.status or 0) < 500


def _is_taken(error: LeaseGridError) -> bool:
    cause = error.__cause__
    return isinstance(cause, ApiException) and status_of(cause.body or "").get("reason") == ALREADY_EXISTS


def _is_within_cluster(path: str, where: Where) -> bool:
    named = where.kubeconfig or where.context or os.environ.get("KUBECONFIG")
    return not named and "KUBERNETES_SERVICE_HOST" in os.environ and not os.path.exists(path)


def _check_is_there(path: str) -> None:
    """The client only prints a line for a file that is not there."""
    if not any(os.path.exists(one) for one in path.split(os.pathsep) if one):
        raise FileNotFoundError(errno.ENOENT, "there is no such file", path)


def _own_namespace() -> str:
    try:
        with open(_IN_CLUSTER_NAMESPACE, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return "default"


def _no_configuration(path: str, where: Where, error: Exception) -> ClusterError:
    chosen = f" with the context {where.context!r}" if where.context else ""
    return ClusterError(
        f"no cluster is known: the kubeconfig {path} cannot be used{chosen}: "
        f"{(isinstance(error, OSError) and error.strerror) or error}",
        remedy="name one with --kubeconfig or KUBECONFIG (kubectl config get-contexts shows what is in it); "
        "without a cluster: leasegrid run FILE",
    )

"""Jobs that name objects of their namespace, with real members: ConfigMaps with code, Secrets with keys of buckets."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.job_rig import REAL, JobHouse
from tests.integration.operator_rig import Object, operator_rig
from tests.support import wat
from tests.support.cluster.kubelet import Kubelet
from tests.support.cluster.plane import accepted
from tests.support.registry import Registry, docker_config, manifest_of, serve
from tests.support.s3 import BUCKET, S3Server, s3_server


@dataclass(frozen=True)
class Town:
    """A house, and a bucket outside it."""

    house: JobHouse
    s3: S3Server

    def put(self, plural: str, name: str, **content: object) -> None:
        """Make or replace a ConfigMap or a Secret of the namespace."""
        kind = {"configmaps": "ConfigMap", "secrets": "Secret"}[plural]
        path = f"/api/v1/namespaces/{self.house.rig.namespace}/{plural}"
        body: Object = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **content}
        api = self.house.rig.plane.api
        if api.ask("POST", path, body).status == 409:
            accepted(api.ask("PUT", f"{path}/{name}", body))

    def until_lacks(self, name: str, words: str) -> None:
        """Wait until a job says that this is missing, and holds nothing meanwhile."""
        self.house.rig.wait(
            lambda: self.house.rig.condition(name, "Progressing", "jobs"),
            lambda said: said.get("reason") == "ReferenceMissing" and words in said["message"],
            f"{name} says {words!r}",
        )
        held = [one["metadata"]["name"] for one in self.house.rig.all("leases")]
        assert not [one for one in held if one.startswith(f"{name}-")]


@pytest.fixture(scope="module")
def town(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One operator, one pool of two real members and one S3 server for all tests of this file."""
    directory = tmp_path_factory.mktemp("references")
    with ExitStack() as stack:
        s3 = stack.enter_context(s3_server(directory / "s3.log"))
        rig = stack.enter_context(operator_rig(controlled, directory, real=True))
        rig.start("a")
        rig.pool(2, resources=REAL)
        yield Town(JobHouse(rig, ""), s3)


@pytest.mark.unhappy("a ConfigMap that is missing, without its key, or with another module than the job says")
def test_a_module_in_a_config_map_is_waited_for(town: Town) -> None:
    module = wat.echo()
    source = {"configMap": {"name": "code", "key": "echo.wasm"}, "sha256": hashlib.sha256(module).hexdigest()}
    town.house.job("code", tasklet={"module": source})
    town.until_lacks("code", "ConfigMap code is not in namespace")
    town.put("configmaps", "code", data={"other": "1"})
    town.until_lacks("code", "no key echo.wasm (it has: other)")
    town.put("configmaps", "code", data={"echo.wasm": "another"})
    town.until_lacks("code", "the job says " + source["sha256"])  # type: ignore[operator]  # it is a text
    town.put("configmaps", "code", binaryData={"echo.wasm": base64.b64encode(module).decode()})

    assert town.house.until("code", "Complete")["completedIndexes"] == "0-2"


def test_python_may_stand_in_a_config_map(town: Town) -> None:
    town.put("configmaps", "script", data={"double.py": "print(2 * int(input()))"})
    town.house.job("script", tasklet={"python": {"source": {"configMap": {"name": "script", "key": "double.py"}}}})
    outputs = json.loads(town.house.until("script", "Complete")["outputs"])
    assert [one["text"] for one in outputs] == ["0\n", "2\n", "4\n"]


@pytest.mark.unhappy("a Secret that is missing; keys that are shown to nobody")
def test_a_bucket_is_entered_with_a_secret_which_appears_nowhere(town: Town) -> None:
    keys = {**town.s3.environment(), "PASSWORD": "of something else"}
    module = town.s3.put("echo.wasm", wat.echo())
    lines = town.s3.put("in.txt", b"a\nb\n")
    town.house.job(
        "bucket",
        tasklet={"module": {"url": module}},
        input={"lines": {"uri": lines, "perChunk": 1}},
        output={"store": "None", "copyTo": {"uri": f"s3://{BUCKET}/out"}},
        dataSecretRef={"name": "keys"},
    )
    town.until_lacks("bucket", "Secret keys is not in namespace")
    town.put("secrets", "keys", stringData={"AWS_ACCESS_KEY_ID": "half"})
    town.until_lacks("bucket", "lacks keys")
    town.put("secrets", "keys", stringData=keys)
    status = town.house.until("bucket", "Complete")

    assert status["resultLocation"] == f"s3://{BUCKET}/out"
    copied = town.s3.below("out")
    assert (copied["0/stdout"], copied["1/stdout"], "_SUCCESS" in copied) == (b"a\n", b"b\n", True)
    assert not [place for place, text in everything(town) if keys["AWS_SECRET_ACCESS_KEY"] in text]


@pytest.mark.unhappy("a Secret without the login of a registry")
def test_a_registry_is_entered_with_a_pull_secret(town: Town) -> None:
    module = wat.echo()
    with serve(Registry(login="Bearer")) as registry:
        registry.push("v1", manifest_of(("application/wasm", module)), module)
        oci = {"reference": f"{registry.host}/a/tool:v1", "pullSecretRef": {"name": "login"}}
        town.put("secrets", "login", stringData={"password": "x"})
        town.house.job("pulled", tasklet={"module": {"oci": oci}})
        town.until_lacks("pulled", "Secret login has no key .dockerconfigjson")
        town.put("secrets", "login", stringData={".dockerconfigjson": docker_config(registry.host).decode()})
        assert town.house.until("pulled", "Complete")["completedIndexes"] == "0-2"


@pytest.mark.unhappy("a bucket that the Secret's owner may not write")
def test_keys_that_may_not_write_fail_the_job_in_words(town: Town) -> None:
    town.put("secrets", "reader", stringData=town.s3.environment(town.s3.reader))
    module = town.s3.put("echo.wasm", wat.echo())
    output = {"store": "None", "copyTo": {"uri": f"s3://{BUCKET}/denied"}}
    town.house.job("denied", tasklet={"module": {"url": module}}, output=output, dataSecretRef={"name": "reader"})
    status = town.house.until("denied", "Failed")
    said = town.house.rig.condition("denied", "Failed", "jobs")
    assert (said["reason"], "may not be" in said["message"]) == ("CopyFailed", True), said
    assert town.s3.reader.secret not in json.dumps(status)


def everything(town: Town) -> Iterator[tuple[str, str]]:
    """Whatever people may read of the namespace, and all that was written to disk, but for the Secret itself."""
    rig = town.house.rig
    for plural in ("jobs", "leases", "pods", "events", "instancepools"):
        yield plural, json.dumps(rig.all(plural))
    assert rig.kubelet is not None
    for pod in rig.all("pods"):
        yield pod["metadata"]["name"], rig.kubelet.do(partial(Kubelet.log, pod=pod["metadata"]["name"]))
    for path in rig.directory.rglob("*"):
        if path.is_file() and path.parent != Path(rig.plane.kubeconfig).parent:
            yield str(path), path.read_bytes().decode(errors="replace")

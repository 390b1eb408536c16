"""What stands under examples/ is accepted by a real API server and means there what it means on one machine."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from leasegrid.api.definitions import KINDS
from leasegrid.api.loading import Resource, load_documents
from tests.integration.conftest import documents, objects
from tests.integration.control_plane import ControlPlane

ROOT = Path(__file__).parents[2]
PLURALS = {kind.name: kind.plural for kind in KINDS}
DOCUMENTS = [
    pytest.param(one, id=f"{path.relative_to(ROOT)} {one['kind']}")
    for path in sorted((ROOT / "examples").rglob("*.yaml"))
    for one in documents(path)
    if str(one.get("apiVersion", "")).startswith("leasegrid.dev/")
]
MAP_REDUCE = """
apiVersion: leasegrid.dev/v1alpha1
kind: TaskGraph
metadata: {name: words}
spec:
  tasks:
  - {name: map, tasklet: {module: {path: map.wasm}}, input: {count: 4}, shuffle: {partitions: 2}}
  - {name: reduce, tasklet: {module: {path: reduce.wasm}}, dependsOn: [map], input: {from: [map]}}
  - {name: finalize, tasklet: {module: {path: end.wasm}}, dependsOn: [reduce], input: {from: [reduce], gather: true}}
"""
EVERYTHING = """
apiVersion: leasegrid.dev/v1alpha1
kind: InstancePool
metadata: {name: everything, labels: {team: a}}
spec:
  resource: Block
  resources: {cpu: 500m, memory: 1Gi}
  requests: {cpu: 50m, memory: "268435456"}
  storage: {size: 10Gi, storageClassName: standard}
  minSize: 2
  maxSize: 30
  schedules: [{start: "0 8 * * 1-5", timeZone: Europe/Berlin, durationSeconds: 7200, targetSize: 20}]
  rollout: {strategy: Rolling}
  template:
    labels: {team: a}
    nodeSelector: {disk: fast}
    tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: arch, operator: In, values: [amd64]}]}]
    topologySpreadConstraints:
    - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {team: a}}}
    imagePullSecrets: [{name: registry}]
"""
LEASE = """
apiVersion: leasegrid.dev/v1alpha1
kind: Lease
metadata: {name: whole}
spec:
  requirements: {cpu: "2", memory: 1Gi, cpuFeatures: [avx512f]}
  count: 50
  minCount: 10
  onEmpty: Queue
  holderIdentity: alice
  parentRef: {name: other}
"""


def read(document: dict[str, Any]) -> Resource:
    """The object of our models that a document says."""
    loaded = load_documents(yaml.safe_dump(document, sort_keys=False), "x.yaml")
    assert loaded.faults == ()
    return loaded.objects[0]


def returned(cluster: ControlPlane, document: dict[str, Any]) -> dict[str, Any]:
    """The document as the server would keep it, without what it says about the object itself."""
    path = f"{objects(PLURALS[document['kind']])}?dryRun=All&fieldValidation=Strict"
    answer = cluster.api.ask("POST", path, document)
    assert answer.accepted, answer.message
    body: dict[str, Any] = answer.body
    kept = {
        name: body["metadata"][name]
        for name in ("name", "namespace", "labels", "annotations")
        if name in body["metadata"]
    }
    return {**body, "metadata": kept}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_an_example_is_accepted_and_keeps_its_meaning(cluster: ControlPlane, document: dict[str, Any]) -> None:
    assert read(returned(cluster, document)) == read(document)


@pytest.mark.parametrize(
    "text", [MAP_REDUCE, EVERYTHING, LEASE], ids=["a graph", "a pool with all it can have", "a lease"]
)
def test_a_document_keeps_its_meaning(cluster: ControlPlane, text: str) -> None:
    document = yaml.safe_load(text)

    assert read(returned(cluster, document)) == read(document)

"""A namespace that the operator is told to serve, and in which nobody gave it rights."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.chart.charting import NAMESPACE, Chart
from tests.chart.test_pools import ISSUER
from tests.chart.test_rights import SERVICE_ACCOUNT, given
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import operator_rig, replica_answer
from tests.support.cluster.plane import account_token, make_namespace, write_kubeconfig

WORDS = "may not be listed: the API server answers 403 (bind the operator's role there, or take the namespace out of"


@pytest.mark.unhappy("a namespace without rights: the operator names it and what to do, and begins when it has them")
def test_an_operator_without_rights_in_a_namespace_says_so_and_begins_when_it_has_them(
    chart: Chart, installed: ControlPlane, tmp_path: Path
) -> None:
    with operator_rig(installed, tmp_path) as rig:
        given(installed, chart.render({"namespaces": [rig.namespace]}))
        closed = make_namespace(installed, f"closed-{uuid4().hex[:8]}")
        token = account_token(installed, NAMESPACE, SERVICE_ACCOUNT, ISSUER)
        kubeconfig = str(write_kubeconfig(installed, tmp_path / "operator.kubeconfig", token))
        namespaces = f"{rig.namespace},{closed}"
        operator = rig.start(ready=False, own_namespace=NAMESPACE, namespaces=namespaces, kubeconfig=kubeconfig)
        said = f"instancepools of the namespace {closed} {WORDS}"
        rig.wait(operator.said, lambda log: f"watch-refused: {said}" in log, "the log names the namespace")
        rig.wait(lambda: replica_answer(operator, "/readyz"), lambda told: said in told, "so does its readiness")
        assert rig.namespace not in replica_answer(operator, "/readyz")

        given(installed, chart.render({"namespaces": [rig.namespace, closed]}))
        rig.wait(lambda: replica_answer(operator, "/readyz"), lambda told: told == "ok", "it begins")

"""An observer that notes what it is told."""

from leasegrid_operator.observing import Body


class Noting:
    """`told`: (kind, namespace, name, deleted), in the order in which it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str, bool]] = []

    def pool_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._note("pool", namespace, body, deleted)

    def lease_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._note("lease", namespace, body, deleted)

    def job_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._note("job", namespace, body, deleted)

    def pod_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._note("pod", namespace, body, deleted)

    def claim_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._note("claim", namespace, body, deleted)

    def node_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._note("node", namespace, body, deleted)

    def _note(self, kind: str, namespace: str, body: Body, deleted: bool) -> None:
        self.told.append((kind, namespace, body["metadata"]["name"], deleted))

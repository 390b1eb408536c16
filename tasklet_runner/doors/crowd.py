"""Who stands at a door: counted, and shared fairly among addresses."""

from collections import Counter

from tasklet_runner.plan.shares import has_room


class Crowd:
    """At most `most` connections. `refused`: how many there were more."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of_peer: Counter[str] = Counter()
        self.total = 0
        self.refused = 0

    def enter(self, peer: str) -> bool:
        """Count one more of this address; False when there is no room for it. Empty: of this machine's own user."""
        mine = self._of_peer[peer] if peer else 0
        if not has_room(mine, self.total, self._most):
            self.refused += 1
            self._forget(peer)
            return False
        self._of_peer[peer] += 1
        self.total += 1
        return True

    def leave(self, peer: str) -> None:
        """One that came in has gone."""
        self._of_peer[peer] -= 1
        self.total -= 1
        self._forget(peer)

    def _forget(self, peer: str) -> None:
        if not self._of_peer[peer]:
            del self._of_peer[peer]

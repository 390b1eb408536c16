"""Loopback addresses for pods: a kubelet has a network 127.x.0.0/16 of its own on this machine."""

import random
import socket

MEMBER_PORT = 8080
_LOCK_PORT = 8079


class AddressSpace:
    """A network that no other rig of this machine uses; the kernel keeps the claim, also when a rig is killed.

    Addresses are given in order and come again only when all 65,000 have had their turn, so that a pod's old address
    answers nobody.
    """

    def __init__(self) -> None:
        self._lock, self.network = _claimed_network()
        self._next = 0
        self._used: set[str] = set()

    def take(self) -> str:
        """An address that no pod has."""
        while True:
            self._next = self._next % 65_000 + 1
            address = f"127.{self.network}.{self._next >> 8}.{self._next & 255}"
            if address not in self._used:
                self._used.add(address)
                return address

    def give_back(self, address: str) -> None:
        """The pod is gone."""
        self._used.discard(address)

    def close(self) -> None:
        """Leave the network to others."""
        self._lock.close()


def _claimed_network() -> tuple[socket.socket, int]:
    candidates = list(range(1, 255))
    random.shuffle(candidates)
    for network in candidates:
        lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            lock.bind((f"127.{network}.255.254", _LOCK_PORT))
        except OSError:
            lock.close()
        else:
            return lock, network
    raise RuntimeError("every network 127.x.0.0/16 is used by another rig: stop one")

"""Gets programs ready at members, so that each module is compiled once per job.

The first member gets `Prepare` with `share`; the encrypted code that comes back goes to all others. Code that was
kept from an earlier job is tried at the first member before it goes to the others: made by another version it would
only be compiled anew everywhere.
"""

import time
from dataclasses import dataclass, field

from tasklet_runner.coordinator.blobs import BlobFile
from tasklet_runner.coordinator.code import CodeReceipt, CodeVault
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.programs import ReadyProgram
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.work import Blob, Prepare, Prepared

LONG_COMPILE_SECONDS = 1.0
"""A compilation is mentioned when it takes longer."""


@dataclass
class _Module:
    """One module: its code, whether a member has confirmed it (or has none to share), and who waits.

    `asked_at`: the monotonic second at which `compiler` was asked.
    """

    code: BlobFile | None
    settled: bool = False
    compiler: Handle | None = None
    asked_at: float = 0.0
    waiting: list[tuple[Handle, int, ReadyProgram]] = field(default_factory=list)


class CodeSharing:
    """Decides who compiles and who waits."""

    def __init__(self, vault: CodeVault) -> None:
        self._vault = vault
        self._modules: dict[str, _Module] = {}
        self._receipts: dict[Handle, CodeReceipt] = {}
        self._received: dict[Handle, BlobFile] = {}
        self._asked: dict[tuple[Handle, int], str] = {}
        self.compile_milliseconds = 0

    @property
    def compiles_long(self) -> bool:
        """True while a member is at a module's first compilation and people may wonder what they wait for."""
        since = time.monotonic() - LONG_COMPILE_SECONDS
        return any(
            module.compiler is not None and module.code is None and module.asked_at < since
            for module in self._modules.values()
        )

    def welcome(self, handle: Handle) -> None:
        """A new member gets the job's code key. Raises ProtocolError when its sealing key is none."""
        handle.post(self._vault.sealed_for(handle.connection.hello.sealing_key))

    def prepare(self, handle: Handle, number: int, ready: ReadyProgram) -> None:
        """Get a program ready at a member; nothing to do when that was asked before."""
        if number in handle.announced:
            return
        handle.announced.add(number)
        for blob in ready.blobs:
            handle.post_blob(blob)
        module = self._module(ready.program.module)
        if module.settled:
            self._announce(handle, number, ready, share=False)
        elif module.compiler is None:
            module.compiler, module.asked_at = handle, time.monotonic()
            self._announce(handle, number, ready, share=True)
        else:
            module.waiting.append((handle, number, ready))

    def take_code(self, handle: Handle, blob: Blob) -> None:
        """A piece of shared code. Raises ProtocolError for what nobody asked for."""
        if all(module.compiler is not handle for module in self._modules.values()):
            raise ProtocolError(f"{handle.member.name} sends code that nobody asked for", remedy="replace the member")
        if handle not in self._receipts:
            self._receipts[handle] = self._vault.receive(blob, handle.member.name)
        whole = self._receipts[handle].add(blob)
        if whole is not None:
            del self._receipts[handle]
            self._received[handle] = whole

    def take_prepared(self, handle: Handle, message: Prepared) -> None:
        """A program is ready at a member; those that waited for its code get it now."""
        handle.prepared.add(message.program_id)
        self.compile_milliseconds += message.compile_milliseconds
        name = self._asked.pop((handle, message.program_id), "")
        module = self._modules.get(name)
        if module is None or module.compiler is not handle:
            return
        received = self._received.pop(handle, None)
        if received is not None and received.digest == message.code:
            module.code = self._vault.keep(name, received)
        module.compiler = None
        module.settled = True
        waiting, module.waiting = module.waiting, []
        for other, number, ready in waiting:
            self._announce(other, number, ready, share=False)

    def forget(self, handle: Handle) -> None:
        """The member is lost; another one compiles what it was to compile."""
        receipt = self._receipts.pop(handle, None)
        if receipt is not None:
            receipt.abandon()
        received = self._received.pop(handle, None)
        if received is not None:
            received.remove()
        self._asked = {key: name for key, name in self._asked.items() if key[0] is not handle}
        for module in self._modules.values():
            module.waiting = [entry for entry in module.waiting if entry[0] is not handle]
            if module.compiler is handle:
                module.compiler = None
                self._elect(module)

    def _elect(self, module: _Module) -> None:
        if module.waiting:
            handle, number, ready = module.waiting.pop(0)
            module.compiler, module.asked_at = handle, time.monotonic()
            self._announce(handle, number, ready, share=True)

    def _module(self, digest: str) -> _Module:
        if digest not in self._modules:
            self._modules[digest] = _Module(self._vault.find(digest))
        return self._modules[digest]

    def _announce(self, handle: Handle, number: int, ready: ReadyProgram, *, share: bool) -> None:
        code = self._modules[ready.program.module].code
        if code is not None:
            handle.post_blob(code)
        self._asked[handle, number] = ready.program.module
        handle.post(Prepare(number, ready.program, code.digest if code else "", share))

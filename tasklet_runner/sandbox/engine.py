"""The one engine configuration of every process, and the fingerprint that binds compiled code to it."""

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import wasmtime

PULSE_SECONDS = 0.01
"""The slot's pulse increments the engine's epoch this often while a task runs; epoch deadlines count these."""

MAX_WASM_STACK_BYTES = 1024 * 1024
"""A thread that runs WebAssembly needs a native stack well above this: 8 MiB suffices, 1 MiB is a SIGSEGV."""

_SETTINGS: tuple[tuple[str, bool | int], ...] = (
    ("consume_fuel", True),
    ("epoch_interruption", True),
    ("max_wasm_stack", MAX_WASM_STACK_BYTES),
    # Results must not depend on the CPU: NaN bit patterns and relaxed SIMD are where WebAssembly lets them.
    ("cranelift_nan_canonicalization", True),
    ("wasm_relaxed_simd_deterministic", True),
    # Nothing here is needed by a WASI preview-1 command, and each is attack surface or unbounded by the limits.
    ("wasm_threads", False),
    ("shared_memory", False),
    ("wasm_memory64", False),
    ("wasm_multi_memory", False),
    ("wasm_function_references", False),
    ("wasm_gc", False),
    ("gc_support", False),
    ("wasm_exceptions", False),
    ("wasm_stack_switching", False),
    ("wasm_component_model", False),
    ("wasm_wide_arithmetic", False),
    ("wasm_custom_page_sizes", False),
)


def new_engine(*, parallel_compilation: bool = False) -> wasmtime.Engine:
    """An engine with fuel, epochs and the fixed set of proposals.

    `parallel_compilation` starts threads, so only a process that never forks afterwards may ask for it; compiled
    code is the same either way.
    """
    config = wasmtime.Config()
    for name, value in _SETTINGS:
        setattr(config, name, value)
    config.parallel_compilation = parallel_compilation
    return wasmtime.Engine(config)


@cache
def fingerprint() -> str:
    """SHA-256 (hex) of wasmtime's version, the configuration and this CPU's instruction sets.

    Compiled code is good exactly where the fingerprint is the same.
    """
    facts = (version("wasmtime"), repr(_SETTINGS), platform.machine(), *cpu_features())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


@cache
def cpu_features() -> tuple[str, ...]:
    """The CPU's instruction sets as the kernel names them (`avx512f`), sorted; empty where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return tuple(sorted(value.split()))
    return ()

"""The one engine configuration of every process, and the fingerprint that binds compiled code to it."""

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import wasmtime

from tasklet_runner.sandbox.native import MAX_TABLE_ELEMENTS, use_pool

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


_POOL = {
    # Address space only: a slot runs one instance at a time, and each of its Loop interpreters keeps one.
    "total_core_instances": 16,
    "total_memories": 16,
    "total_tables": 64,
    "max_tables_per_module": 16,
    "max_memories_per_module": 1,
    "table_elements": MAX_TABLE_ELEMENTS,
    "max_memory_size": 1 << 32,
    "max_core_instance_size": 16 * 1024 * 1024,
    # What is reset by copying instead of by the kernel: measured best between 64 and 256 KiB.
    "linear_memory_keep_resident": 128 * 1024,
    "table_keep_resident": 64 * 1024,
}


def new_engine() -> wasmtime.Engine:
    """An engine that runs tasks: fuel, epochs, the fixed set of proposals, no threads of its own.

    It reserves about 100 GiB of address space (not memory), so the process must not have an RLIMIT_AS.
    """
    config = _config()
    config.parallel_compilation = False
    use_pool(config, _POOL)
    return wasmtime.Engine(config)


def new_compiling_engine() -> wasmtime.Engine:
    """An engine that compiles for `new_engine`, on all cores: only for a process that never forks afterwards."""
    config = _config()
    config.parallel_compilation = True
    return wasmtime.Engine(config)


def new_portable_engine() -> wasmtime.Engine:
    """The same for any CPU of this architecture: a target that is named has the baseline's instruction sets alone."""
    config = _config()
    config.parallel_compilation = True
    config.target = f"{platform.machine()}-unknown-linux-gnu"
    return wasmtime.Engine(config)


def _config() -> wasmtime.Config:
    config = wasmtime.Config()
    for name, value in _SETTINGS:
        setattr(config, name, value)
    return config


@cache
def fingerprint() -> str:
    """SHA-256 (hex) of wasmtime's version, the configuration and this CPU's instruction sets.

    Compiled code is good exactly where the fingerprint is the same.
    """
    facts = (version("wasmtime"), repr(_SETTINGS), platform.machine(), *cpu_features())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


@cache
def portable_fingerprint() -> str:
    """The same for the code of `new_portable_engine`: the instruction sets of this CPU are no part of it."""
    facts = ("portable", version("wasmtime"), repr(_SETTINGS), platform.machine())
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

"""WebAssembly under limits: compile, cache, run one input, say what came of it."""

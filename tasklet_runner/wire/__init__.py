"""The protocol as types: messages, faults, errors, signed statements."""

"""What decoders raise for bytes that nobody meant to be read."""

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""msgspec raises its own error for what is malformed or of another type, UnicodeDecodeError for text that is no UTF-8,
and RecursionError for what is nested deeper than the interpreter goes, also in a field that nobody asked for.
"""

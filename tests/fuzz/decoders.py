"""Every decoder there is for bytes that others send or keep."""

from tests.fuzz import of_disks, of_documents, of_statements, of_stores, of_work
from tests.fuzz.decoder import Decoder

DECODERS: tuple[Decoder, ...] = (
    *of_work.DECODERS,
    *of_statements.DECODERS,
    *of_disks.DECODERS,
    *of_stores.DECODERS,
    *of_documents.DECODERS,
)

"""Certificates: who vouches for a broker's, and how one's own is shown without a file on any disk."""

import os
import ssl

from tasklet_runner.wire.errors import InputError


def trusting(authority: str) -> ssl.SSLContext:
    """For connections that these certificates (PEM) vouch for, and no others: TLS 1.3, the host's name is checked.

    Raises:
        InputError: there is no certificate in it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # cert-manager's self-signed issuers give a leaf as its own authority; a chain may end there.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=authority)
    except ssl.SSLError as error:
        raise InputError(f"the authority cannot be used: {error}", remedy="give certificates in PEM") from error
    return context


def serving_context(pem: bytes) -> ssl.SSLContext:
    """For a server: TLS 1.3 with the certificate (and those that vouch for it) and private key in `pem`.

    Raises:
        InputError: they cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Connections are kept, and nobody resumes a session: tickets would be two more messages for each.
    context.num_tickets = 0
    # The standard library reads keys from files alone; this one stays in memory.
    file = os.memfd_create("leasegrid-key", os.MFD_CLOEXEC)
    try:
        os.write(file, pem)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    except ssl.SSLError as error:
        raise InputError(
            f"certificate and key cannot be used: {error}", remedy="give a certificate and its key in PEM"
        ) from error
    finally:
        os.ftruncate(file, 0)
        os.close(file)
    return context

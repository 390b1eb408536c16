"""Who vouches for a broker's certificate."""

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

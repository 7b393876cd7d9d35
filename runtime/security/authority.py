"""Whom a client trusts at the other end of a TLS connection."""

from __future__ import annotations

import ssl
from pathlib import Path


def client_tls(ca: Path | None = None) -> ssl.SSLContext:
    """Make the client's side of TLS 1.2 or newer: certificate and host name are verified.

    Since Python 3.13 a certificate that leaves out what RFC 5280 asks for is refused, such as an
    authority without key usage, which is what `openssl req -x509` makes. An authority that is named
    is taken as it is, with every Python; the public ones keep to the letter anyway.

    Args:
        ca: PEM file of the only authority to trust; those of the system where it is None.

    Returns:
        A context for connections to servers.

    Raises:
        OSError: `ca` can't be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca)
    if ca is not None:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

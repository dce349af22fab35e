"""What a provider that speaks TLS shows."""

import ssl

import trustme


def server(
    authority: trustme.CA, *names: str, newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
) -> ssl.SSLContext:
    """It is who the authority says, and would rather speak HTTP/2, as most of them do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    context.maximum_version = newest
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context

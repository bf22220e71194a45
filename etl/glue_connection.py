"""The JDBC URL of a Glue connection. Pure Python: nothing here opens a connection."""

from __future__ import annotations

from collections.abc import Mapping

from etl.datasets import Engine

# What the drivers take for "encrypted, or not at all".
# https://jdbc.postgresql.org/documentation/ssl/
# https://dev.mysql.com/doc/connector-j/en/connector-j-reference-using-ssl.html
_ENCRYPTED: Mapping[Engine, str] = {"postgresql": "sslmode=require", "mysql": "sslMode=REQUIRED"}
_SSL_PARAMETER: Mapping[Engine, str] = {"postgresql": "sslmode=", "mysql": "sslMode="}


def jdbc_url(engine: Engine, jdbc: Mapping[str, str]) -> str:
    """Return the URL of a Glue connection, which demands TLS if the connection does.

    Glue's own reader honours "Require SSL connection" (`JDBC_ENFORCE_SSL`); a URL that is taken out
    of the connection has lost it. A mode that the URL names itself, such as `verify-full`, stays.

    Args:
        engine: The database's.
        jdbc: From `GlueContext.extract_jdbc_conf`: `fullUrl`, which older connections do not have,
            or `url`, which names no database, and `enforceSSL`, `true` or `false`.
    """
    url = jdbc.get("fullUrl") or jdbc["url"]
    demanded = str(jdbc.get("enforceSSL", "")).lower() == "true"
    if not demanded or _SSL_PARAMETER[engine].lower() in url.lower():
        return url
    return f"{url}{'&' if '?' in url else '?'}{_ENCRYPTED[engine]}"

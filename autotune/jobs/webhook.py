"""The webhook: a POST request when a job has ended."""

from __future__ import annotations

import base64
import threading
import urllib.request
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

from autotune.jobs.document import encode_document
from tuning_logs.address import without_password

# Of one wait for the other side, and of all of them: a server may answer a byte at a time.
_TIMEOUT_SECS = 10.0
_WHOLE_SECS = 20.0
# What a URL may hold as it is; percent signs are taken for escapes that are there already.
_PATH_SIGNS = "/%:@!$&'()*+,;=~"
_QUERY_SIGNS = _PATH_SIGNS + "?"


def post(url: str, document: object, timeout_secs: float = _WHOLE_SECS) -> str | None:
    """Posts a document as JSON. Returns the error as a text, None on success; never raises, nor takes longer."""
    found: list[str | None] = []
    # A name server that does not answer has no time limit of its own.
    sending = threading.Thread(target=lambda: found.append(_fault(url, document)), daemon=True)
    sending.start()
    sending.join(timeout_secs)
    fault = found[0] if found else f"no answer within {timeout_secs:g} s"
    return f"the webhook {without_password(url)} was not told: {fault}" if fault else None


def ascii_url(url: str) -> str:
    """A URL as a request names it: the host in Punycode, all else that is not ASCII in percent escapes, no user.

    Raises ValueError where it cannot be a URL.
    """
    parts = urlsplit(url.strip())
    host = parts.hostname or ""
    if not host.isascii():
        host = host.encode("idna").decode()
    if ":" in host:
        host = f"[{host}]"
    where = host if parts.port is None else f"{host}:{parts.port}"
    path, query = quote(parts.path or "/", _PATH_SIGNS), quote(parts.query, _QUERY_SIGNS)
    return urlunsplit((parts.scheme, where, path, query, ""))


def _opener() -> urllib.request.OpenerDirector:
    """Makes requests without redirects: these leave the document behind, or bring it to a host that nobody named."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _fault(url: str, document: object) -> str | None:
    try:
        headers = {"Content-Type": "application/json", **_authorization(url)}
        request = urllib.request.Request(ascii_url(url), encode_document(document), headers, method="POST")
        with _opener().open(request, timeout=_TIMEOUT_SECS):
            return None
    except urllib.error.HTTPError as error:
        moved = f", moved to {error.headers['Location']}; name that address" if error.code < 400 else ""
        return f"{error}{moved}"
    except Exception as error:  # noqa: BLE001 - nothing that a URL or a server does may end the job
        return " ".join(str(error).split()) or type(error).__name__


def _authorization(url: str) -> dict[str, str]:
    """The header for a URL with a user and a password."""
    user, at, _ = urlsplit(url.strip()).netloc.rpartition("@")
    return {"Authorization": f"Basic {base64.b64encode(unquote_to_bytes(user)).decode()}"} if at else {}

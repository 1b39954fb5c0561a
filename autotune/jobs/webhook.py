"""The webhook: a POST request when a job has ended."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

import msgspec

_TIMEOUT_SECS = 10.0


def post(url: str, document: object) -> str | None:
    """Posts a document as JSON. Returns the error as a text, None on success; never raises."""
    request = urllib.request.Request(
        url, msgspec.json.encode(document), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECS):
            return None
    except (OSError, http.client.HTTPException, urllib.error.URLError) as error:
        return f"the webhook {url} was not told: {error}"

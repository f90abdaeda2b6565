"""Headers of the user's page: nothing but its own script, its own style and its own origin."""

from __future__ import annotations

import base64
import hashlib
import re


def page_headers(page: bytes) -> dict[str, str]:
    """Return the headers that let the page do what it does, and nothing that is put into it."""
    scripts = _hashes(page, rb"<script>(.*?)</script>")
    styles = _hashes(page, rb"<style>(.*?)</style>")
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }


def _hashes(page: bytes, pattern: bytes) -> str:
    found = re.findall(pattern, page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(each).digest()).decode() for each in found]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"

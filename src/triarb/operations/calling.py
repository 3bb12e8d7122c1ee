"""A call to an address that must not show, by a thread that has nothing else to do."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from triarb.exceptions import UsageError
from triarb.operations.secrets import Secret


def address(told: Secret | str, what: str) -> Secret:
    """`told` as an address that can be called; `what` names it, since it does not show itself.

    Raises:
        UsageError: no address beginning with ``https://`` or ``http://``.
    """
    secret = told if isinstance(told, Secret) else Secret(told)
    try:
        url = URL(secret.get_secret_value().strip())
        good = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:  # its message may hold the address
        good = False
    if not good:
        raise UsageError(f"{what} is no address of a web server", hint="such as https://host/path")
    return secret


def call(url: Secret, body: Mapping[str, Any] | None, timeout_seconds: float) -> str | None:
    """POST `body` as JSON, or GET where it is None. It blocks, at most `timeout_seconds` and what looking up a name takes.

    Returns:
        None where the server answered with a status from 200 to 299, else what happened, without the address.
    """
    return asyncio.run(_call(url, body, timeout_seconds))


async def _call(url: Secret, body: Mapping[str, Any] | None, timeout_seconds: float) -> str | None:
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                "GET" if body is None else "POST",
                url.get_secret_value().strip(),
                json=body,
                allow_redirects=False,  # the address goes to nobody else
            ) as answer,
        ):
            return None if 200 <= answer.status < 300 else f"status {answer.status}"
    except TimeoutError:
        return f"no answer within {timeout_seconds:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return type(error).__name__  # its message holds the address

"""Services that keep secrets: the system's keyring, AWS Secrets Manager, HashiCorp Vault.

Each is asked through its own library, of the extra `secrets`, which is imported when one is asked for. What such a
library raises or logs may hold what it read: of the first only our own words go on, and of its log nothing below a
warning while it is asked.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import attrs

from triarb.exceptions import SecretError
from triarb.operations.secrets import Secret

_SECONDS: Final = 10
_TALKATIVE: Final = frozenset({"boto3", "botocore", "urllib3", "requests", "hvac", "keyring"})


@attrs.frozen
class Place:
    """Where in a store a secret is: ``name?option=value#field``."""

    name: str
    field: str
    options: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The place that an address names after its scheme."""
        rest, _, field = text.partition("#")
        name, _, query = rest.partition("?")
        options = {key: values[-1] for key, values in parse_qs(query).items()}
        return cls(unquote(name), unquote(field), options)

    def split(self) -> tuple[str, str]:
        """What is before the first slash, and what is after it."""
        before, _, after = self.name.partition("/")
        return before, after


@attrs.frozen
class Failure:
    """Why a store gave no secret, with the code and the hint of the error that it becomes."""

    code: str
    why: str
    hint: str


def fetch(scheme: str, text: str) -> Secret:
    """The secret at an address.

    Raises:
        SecretError: `secret.address`, `secret.extra`, `secret.missing`, `secret.field`, or `secret.unavailable`.
    """
    place = Place.parse(text)
    with _quiet():
        found = _STORES[scheme](place)
    if isinstance(found, Failure):
        message = f"{scheme}://{place.name}{'#' * bool(place.field)}{place.field}: {found.why}"
        raise SecretError(message, code=found.code, hint=found.hint)
    return found


def _keyring(place: Place) -> Secret | Failure:
    service, user = place.split()
    if not service or not user:
        return _no_address("keyring://SERVICE/USER")
    try:
        import keyring  # noqa: PLC0415 - of an extra
    except ImportError:
        return _no_extra("keyring")
    try:
        password = keyring.get_password(service, user)
    except Exception as error:  # noqa: BLE001 - every backend has its own
        return _unavailable("the keyring", type(error).__name__, "unlock it, or name another store")
    if password is None:
        return _missing(f"keyring set {service} {user}")
    return _picked(Secret(password), place.field)


def _aws(place: Place) -> Secret | Failure:
    try:
        import boto3  # noqa: PLC0415 - of an extra
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ImportError:
        return _no_extra("boto3")
    hint = "check AWS's own settings (AWS_PROFILE, AWS_REGION) and the right GetSecretValue"
    settings = Config(
        connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 2}
    )
    try:
        client = boto3.client(
            "secretsmanager", region_name=place.options.get("region"), config=settings
        )
        held = Secret(client.get_secret_value(SecretId=place.name).get("SecretString", ""))
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code == "ResourceNotFoundException":
            return _missing("aws secretsmanager list-secrets names those that there are")
        return _unavailable("AWS", code, hint)
    except BotoCoreError as error:
        return _unavailable("AWS", str(error), hint)
    except Exception as error:  # noqa: BLE001 - an answer that makes no sense
        return _unavailable("AWS", type(error).__name__, hint)
    return _picked(held, place.field)


def _vault(place: Place) -> Secret | Failure:
    mount, path = place.split()
    if not mount or not path or not place.field:
        return _no_address("vault://MOUNT/PATH#FIELD")
    try:
        import hvac  # noqa: PLC0415 - of an extra
        from hvac.exceptions import InvalidPath, VaultError  # noqa: PLC0415
    except ImportError:
        return _no_extra("hvac")
    hint = "check VAULT_ADDR and VAULT_TOKEN, and that its policy may read this path"
    try:
        client = hvac.Client(timeout=_SECONDS, namespace=os.environ.get("VAULT_NAMESPACE"))
        if place.options.get("kv") == "1":
            held = _json(client.secrets.kv.v1.read_secret(path, mount_point=mount)["data"])
        else:
            kv = client.secrets.kv.v2
            held = _json(
                kv.read_secret_version(path, mount_point=mount, raise_on_deleted_version=True)[
                    "data"
                ]["data"]
            )
    except InvalidPath:
        return _missing(f"vault kv get -mount={mount} {path} must show it")
    except VaultError as error:
        return _unavailable("Vault", f"{type(error).__name__}", hint)
    except Exception as error:  # noqa: BLE001 - no network, or an answer that makes no sense
        return _unavailable("Vault", type(error).__name__, hint)
    return _picked(held, place.field)


_STORES: Final[dict[str, Callable[[Place], Secret | Failure]]] = {
    "keyring": _keyring,
    "aws": _aws,
    "vault": _vault,
}


def _json(data: Any) -> Secret:
    return Secret(json.dumps(data))


def _picked(held: Secret, field: str) -> Secret | Failure:
    """The text of one field of a JSON object; without a field, the whole, which then must not be one."""
    fields = _fields(held)
    if fields is None and not field:
        return held
    if not field:
        why, hint = "it holds several fields", "name one: add #FIELD to the address"
        return Failure("secret.field", why, hint)
    if fields is None:
        why, hint = "it is one text without fields", f"leave #{field} away"
        return Failure("secret.field", why, hint)
    if field not in fields:
        return Failure("secret.field", f"it has no text {field}", "name a field that it has")
    return fields[field]


def _fields(held: Secret) -> dict[str, Secret] | None:
    try:
        data = json.loads(held.get_secret_value())
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    return {name: Secret(value) for name, value in data.items() if isinstance(value, str)}


def _no_address(form: str) -> Failure:
    return Failure("secret.address", "it is no address of a secret", f"write {form}")


def _no_extra(library: str) -> Failure:
    why = f"{library} is not installed"
    return Failure("secret.extra", why, "pip install 'triarb[secrets]'")


def _missing(hint: str) -> Failure:
    return Failure("secret.missing", "there is no such secret", hint)


def _unavailable(store: str, why: str, hint: str) -> Failure:
    return Failure("secret.unavailable", f"{store} did not give it ({why})", hint)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep botocore from logging what it reads, at DEBUG: nothing below a warning is let through."""
    logging.getLogger(
        "botocore.parsers"
    )  # there before it is imported, so that it is among those below
    known = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _TALKATIVE]
    loggers = [logging.getLogger(name) for name in {*known, *_TALKATIVE}]
    levels = [(logger, logger.level) for logger in loggers]
    try:
        for logger, level in levels:
            logger.setLevel(max(level, logging.WARNING))
        yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)

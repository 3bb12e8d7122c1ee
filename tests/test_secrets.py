"""Secrets: from files that are private, from the keyring, from AWS and Vault, and never shown."""

import copy
import json
import logging
import os
import pickle
import sys
import threading
import traceback
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked
from moto.server import ThreadedMotoServer

from triarb.exceptions import SecretError
from triarb.operations import Secret
from triarb.operations.secrets import read_private, reveal

CANARY = "CANARY0123456789"


def value(text, **options):
    """What a key or an address comes to."""
    return reveal(Secret(text), **options).get_secret_value()


def refused(text, **options):
    """The code of why it comes to nothing; nothing of the error shows a secret, its frames included."""
    with pytest.raises(SecretError) as caught:
        reveal(Secret(text), **options)
    error = caught.value
    ours = error.__traceback__.tb_next  # below this frame, which holds `text`
    shown = traceback.TracebackException(SecretError, error, ours, capture_locals=True)
    assert CANARY not in "".join(shown.format())
    assert error.__context__ is None or error.__suppress_context__
    assert error.message
    assert error.hint
    return error.code


@pytest.fixture
def private(tmp_path):
    """Writes a file that is its owner's alone."""

    def write(text, mode=0o600):
        path = tmp_path / "key"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def test_a_secret_does_not_show():
    """Neither its text, nor its repr, nor a copy or pickle gives it away; an empty one is false."""
    secret = Secret(CANARY)
    assert CANARY not in f"{secret} {secret!r} {[secret]} {secret:}"
    for give_away in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            give_away(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert (bool(secret), bool(Secret(""))) == (True, False)
    assert secret.address is None
    assert Secret("aws://name#key").address == "aws://name#key"


def test_a_key_itself_is_itself():
    """What is no address is the key, without white space around it."""
    assert value(f" {CANARY}\n") == CANARY
    assert value("http://not-a-scheme-of-ours") == "http://not-a-scheme-of-ours"


def test_a_file_must_be_its_owners_alone(private):
    """E12: a private file is read without its last line end; one that others may use in any way is refused."""
    path = private(f"{CANARY}\n")
    assert value(f"file://{path}") == CANARY
    for mode in (0o640, 0o604, 0o620, 0o602, 0o610, 0o666):
        path.chmod(mode)
        assert refused(f"file://{path}") == "secret.permissions"
    path.chmod(0o400)
    assert value(f"file://{path}") == CANARY


def test_a_file_that_tells_a_key_must_be_private_as_well(private):
    """A .env with a key in it is held to the same; one with an address is not."""
    path = private("", 0o644)
    assert refused(CANARY, within=path) == "secret.permissions"
    path.chmod(0o600)
    assert value(CANARY, within=path) == CANARY
    path.chmod(0o644)
    with pytest.raises(SecretError) as caught:
        reveal(Secret("file:///nowhere"), within=path)
    assert caught.value.code == "secret.missing"


def test_files_that_are_none(private, tmp_path):
    """One that is missing, a folder, one that is not text, and an empty one are named."""
    assert refused(f"file://{tmp_path}/none") == "secret.missing"
    assert refused(f"file://{tmp_path}") == "secret.unreadable"
    path = private("")
    assert refused(f"file://{path}") == "secret.empty"
    path.write_bytes(b"\xff" + CANARY.encode())
    assert refused(f"file://{path}") == "secret.unreadable"
    with pytest.raises(SecretError, match="no text"):
        read_private(path)


def test_a_file_of_somebody_else_is_refused(private, monkeypatch):
    """Neither ours nor root's: somebody else put it there."""
    path = private(CANARY)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert refused(f"file://{path}") == "secret.permissions"


class MemoryKeyring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.held = {}

    def get_password(self, service, username):
        if service == "locked":
            raise KeyringLocked(f"somebody knows {CANARY}")
        return self.held.get((service, username))

    def set_password(self, service, username, password):
        self.held[service, username] = password

    def delete_password(self, service, username):
        del self.held[service, username]


@pytest.fixture
def ring():
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    yield keyring
    keyring.set_keyring(before)


def test_the_keyring(ring):
    """A password of the system's keyring, by service and user; what is not there or locked is said."""
    ring.set_password("triarb", "binance key", CANARY)
    assert value("keyring://triarb/binance%20key") == CANARY
    assert refused("keyring://triarb/other") == "secret.missing"
    assert refused("keyring://locked/x") == "secret.unavailable"
    assert refused("keyring://triarb") == "secret.address"
    ring.set_password("triarb", "json", json.dumps({"api_key": CANARY}))
    assert value("keyring://triarb/json#api_key") == CANARY
    assert refused("keyring://triarb/json") == "secret.field"


@pytest.fixture(scope="module")
def moto():
    """A server that speaks AWS's protocol, on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto, monkeypatch):
    """AWS's own settings for it, and a client."""
    for name, setting in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, setting)
    client = boto3.client("secretsmanager")
    made = []

    def create(name, **content):
        made.append(name)
        return client.create_secret(Name=name, **content)["ARN"]

    yield create
    for name in made:
        client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def test_aws_secrets_manager(aws):
    """A text, a field of JSON, by name and by ARN, through boto3 and real HTTP."""
    arn = aws("prod/binance", SecretString=json.dumps({"api_key": CANARY, "number": 5}))
    aws("plain", SecretString=CANARY)
    assert value("aws://prod/binance#api_key") == CANARY
    assert value(f"aws://{arn}#api_key") == CANARY
    assert value("aws://plain?region=eu-central-1") == CANARY
    assert refused("aws://prod/binance") == "secret.field"
    assert refused("aws://prod/binance#apikey") == "secret.field"
    assert refused("aws://prod/binance#number") == "secret.field"
    assert refused("aws://plain#api_key") == "secret.field"
    assert refused("aws://plain?region=eu-west-1") == "secret.missing"
    aws("binary", SecretBinary=CANARY.encode())
    assert refused("aws://binary") == "secret.empty"


def test_aws_that_does_not_answer(aws, monkeypatch):
    """Without a region, without keys, without a server, and where the secret was deleted: said, and what to check."""
    aws("plain", SecretString=CANARY)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert refused("aws://plain") == "secret.unavailable"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert refused("aws://plain") == "secret.unavailable"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert refused("aws://plain") == "secret.unavailable"


def test_aws_logs_nothing_of_it(aws, caplog):
    """While nobody fetches, botocore logs every answer at DEBUG; while a secret is fetched it does not."""
    aws("prod/binance", SecretString=CANARY)
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    parsers = logging.getLogger("botocore.parsers")
    parsers.setLevel(logging.DEBUG)
    try:
        assert value("aws://prod/binance") == CANARY
        assert CANARY not in caplog.text
        boto3.client("secretsmanager").get_secret_value(SecretId="prod/binance")
        assert CANARY in caplog.text  # what would have been logged
    finally:
        parsers.setLevel(logging.NOTSET)


VAULT = {
    "/v1/secret/data/binance": {"data": {"data": {"api_key": CANARY, "n": 5}, "metadata": {"version": 1}}},
    "/v1/team/data/a/b%20c": {"data": {"data": {"api_key": CANARY}, "metadata": {"version": 3}}},
    "/v1/old/binance": {"data": {"api_key": CANARY}},
    "/v1/secret/data/garbage": CANARY,
}  # fmt: skip
DELETED = {"data": {"data": None, "metadata": {"deletion_time": "2026-01-01T00:00:00Z"}}}


class Vault(BaseHTTPRequestHandler):
    """What HashiCorp Vault's HTTP API answers for its KV stores; a stand-in, after its documentation."""

    def do_GET(self):
        """Read."""
        held = VAULT.get(self.path.partition("?")[0])
        if self.headers.get("X-Vault-Token") != "s.TOKEN":
            self._answer(403, {"errors": ["permission denied"]})
        elif self.path.startswith("/v1/secret/data/sealed"):
            self._answer(503, {"errors": ["Vault is sealed"]})
        elif self.path.startswith("/v1/secret/data/deleted"):
            self._answer(404, DELETED)
        elif held is None:
            self._answer(404, {"errors": []})
        else:
            self._answer(200, held)

    def _answer(self, status, data):
        rest = {"lease_id": "", "renewable": False, "lease_duration": 0, "auth": None}
        body = json.dumps({**rest, **data}).encode() if isinstance(data, dict) else data.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def vault(monkeypatch):
    """Vault's own settings for the stand-in."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vault)
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("VAULT_TOKEN", "s.TOKEN")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("vault")
def test_vault(caplog):
    """A field of a KV store of either version, through hvac and real HTTP, and nothing of it in a log."""
    caplog.set_level(logging.DEBUG)
    assert value("vault://secret/binance#api_key") == CANARY
    assert value("vault://team/a/b%20c#api_key") == CANARY
    assert value("vault://old/binance?kv=1#api_key") == CANARY
    assert CANARY not in caplog.text
    assert "s.TOKEN" not in caplog.text
    assert refused("vault://secret/binance#n") == "secret.field"
    assert refused("vault://secret/binance") == "secret.address"
    assert refused("vault://secret#x") == "secret.address"


@pytest.mark.usefixtures("vault")
def test_vault_that_has_or_gives_nothing(monkeypatch):
    """A path that is not there, a version that was deleted, a sealed vault, nonsense, a wrong token, no server."""
    assert refused("vault://secret/none#api_key") == "secret.missing"
    assert refused("vault://secret/deleted#api_key") == "secret.missing"
    assert refused("vault://secret/sealed#api_key") == "secret.unavailable"
    assert refused("vault://secret/garbage#api_key") == "secret.unavailable"
    monkeypatch.setenv("VAULT_TOKEN", "s.OTHER")
    assert refused("vault://secret/binance#api_key") == "secret.unavailable"
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    assert refused("vault://secret/binance#api_key") == "secret.unavailable"


@pytest.mark.parametrize(
    ("address", "library"),
    [("aws://x", "boto3"), ("vault://secret/x#y", "hvac"), ("keyring://x/y", "keyring")],
)
def test_a_library_that_is_missing_is_named(monkeypatch, address, library):
    """Without the extra the error says what to install."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SecretError) as caught:
        reveal(Secret(address))
    assert caught.value.code == "secret.extra"
    assert library in caught.value.message
    assert caught.value.hint == "pip install 'triarb[secrets]'"

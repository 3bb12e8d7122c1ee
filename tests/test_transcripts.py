"""Transcripts: nothing of a key is in them, nothing else is lost, and replaying them shows where the loopback differs."""

import base64
import gzip
import json
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import attrs
import pytest
from hypothesis import example, given, strategies as st

from triarb import CcxtGateway
from triarb.exceptions import SourceError, TriarbError, UsageError
from triarb.gateways.ccxt import Credentials
from triarb.model import Order, Side, TimeInForce
from triarb.testing import planted_triangle
from triarb.testing.faults import Answer as Instead, DropAfter, FaultRule, Truncate
from triarb.testing.loopback import LoopbackExchange
from triarb.testing.transcripts import (
    Answer,
    Exchanged,
    Recorder,
    Request,
    Transcript,
    read,
    replay,
)
from triarb.testing.transcripts.__main__ import main
from triarb.testing.transcripts.comparing import differences
from triarb.testing.transcripts.sanitizing import KEPT, Sanitizer, encodings, hides
from triarb.testing.transcripts.transcript import Number, dumps, loads

D = Decimal
TRANSCRIPTS = Path(__file__).parent / "transcripts"
LOOPBACK = TRANSCRIPTS / "binance-loopback.jsonl"
REAL = Path(__file__).parents[2] / "shared/data/raw"
KEYS = Credentials("CANARYKEY/+0123456789==", 'CANARY"SECRET&0123456789', "CANARY pass")
ORDER = Order("tri1", "ETH/USDT", Side.BUY, D(2), D("5.06"), TimeInForce.IOC)


class Watching:
    """A session that remembers what it is told to send, as it is."""

    def __init__(self, session, seen):
        self.session, self.seen = session, seen

    def __getattr__(self, name):
        return getattr(self.session, name)

    def request(self, method, url, **kwargs):
        self.seen.append((str(url), kwargs.get("data") or b"", kwargs.get("headers")))
        return self.session.request(method, url, **kwargs)


def signatures(seen):
    """All signatures that were sent."""
    texts = [f"{url}&{data.decode()}" for url, data, _ in seen]
    return {text.partition("signature=")[2].partition("&")[0] for text in texts} - {""}


async def record(path, act, keys=KEYS, known=KEYS):
    """Let `act` use a gateway over a loopback exchange and record it in `path`; all that was really sent."""
    seen = []
    async with LoopbackExchange(
        planted_triangle(), balances={"USDT": "1000"}, credentials=known
    ) as exchange:
        with Recorder(
            path,
            exchange="binance",
            source="loopback",
            credentials=keys,
            sessions=lambda: Watching(exchange.session_factory(), seen),
        ) as recorder:
            async with CcxtGateway(
                "binance", credentials=keys, session_factory=recorder.session
            ) as gateway:
                await act(exchange, gateway)
    return seen


async def trade(exchange, gateway):
    """One order, and what may be asked about it."""
    await gateway.balances()
    await gateway.submit(ORDER)
    await gateway.look_up("tri1", "ETH/USDT")


async def test_no_key_and_no_signature_is_in_a_transcript(tmp_path):
    """Whatever an exchange repeats of a request, in whatever encoding, and whose account it is, is not in the file."""
    path = tmp_path / "x.jsonl"
    told = {
        "uid": 354937868,
        "makerUid": [77, "88"],
        "note": "ask me@example.com from 203.0.113.77 or 2001:db8::77:1",
        "apiKey": "else",
    }
    shown = [form for key in (KEYS.key, KEYS.secret, KEYS.password) for form in encodings(key)]

    async def act(exchange, gateway):
        await trade(exchange, gateway)
        bodies = [json.dumps(told), "<html>" + " ".join(shown), json.dumps({"m": shown, "k": 1})]
        for body in bodies:
            exchange.inject(FaultRule("balances", Instead(400, body=body)))
            with pytest.raises(TriarbError):
                await gateway.balances()

    seen = await record(path, act)
    assert len(signatures(seen)) > 5
    assert any(headers.get("X-MBX-APIKEY") == KEYS.key for _, _, headers in seen)
    text = path.read_text()
    hidden = [*shown, "CANARY", "me@example", "203.0.113.77", "2001:db8", "354937868", '"else"']
    for signature in signatures(seen):
        hidden += [*encodings(signature), signature.upper()]
    assert not [form for form in hidden if len(form) > 3 and form.lower() in text.lower()]
    kept = [one.answer.told for one in read(path).exchanged if one.answer and one.answer.told]
    masked = {"uid": 0, "makerUid": [0, "***"], "note": "ask *** from *** or ***", "apiKey": "***"}
    assert masked in kept
    assert path.stat().st_mode & 0o077 == 0


async def test_an_echoed_signature_is_not_in_a_transcript(tmp_path):
    """An answer that repeats the request's own signature, which nobody could know before, is masked."""
    path, seen = tmp_path / "x.jsonl", []

    class Echo(Watching):
        """Answers with what it was sent."""

        def request(self, method, url, **kwargs):
            call = super().request(method, url, **kwargs)
            if "signature=" in str(url):
                call = Echoed(call, f"{url} {quote(str(url), safe='')}")
            return call

    class Echoed:
        def __init__(self, call, text):
            self.call, self.told = call, text

        async def __aenter__(self):
            response = await self.call.__aenter__()

            async def text(errors="strict"):
                return self.told

            response.text = text
            return response

        async def __aexit__(self, *error):
            return await self.call.__aexit__(*error)

    async with LoopbackExchange(planted_triangle(), credentials=KEYS) as exchange:
        with Recorder(
            path,
            exchange="binance",
            source="loopback",
            sessions=lambda: Echo(exchange.session_factory(), seen),
        ) as recorder:
            async with CcxtGateway(
                "binance", credentials=KEYS, session_factory=recorder.session
            ) as gateway:
                with pytest.raises(TriarbError):
                    await gateway.balances()
    (signature,) = signatures(seen)
    text = path.read_text()
    assert "signature=***" in text
    assert signature not in text
    assert KEYS.key not in text  # not told to the recorder, but hidden in a header


@given(
    secret=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=8),
    before=st.binary(max_size=5),
    after=st.binary(max_size=5),
    url_safe=st.booleans(),
)
@example(secret="CANARYxx", before=b"user:", after=b"", url_safe=False)
def test_a_secret_is_found_within_base64(secret, before, after, url_safe):
    """Wherever it begins within something longer that was encoded, nothing of it but the digits at its edges stays."""
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    text = encode(before + secret.encode() + after).decode()
    found = Sanitizer([secret]).text(text)
    assert "***" in found
    assert len(found) <= 3 + len(text) - len(secret.encode()) * 4 // 3 + 4


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=12).map(
    lambda number: Number(f"{number:f}")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=JSON)
def test_json_loses_no_digit(value):
    """What is written is read again as it was, each number by its own text, and takes one line."""
    text = dumps(value)
    assert dumps(loads(text)) == text
    assert loads(text) == value
    assert "\n" not in text


async def test_nothing_else_is_lost(tmp_path):
    """Every request is there, in its order, with its parameters, status, kept headers, times and the very answer."""
    path = tmp_path / "x.jsonl"
    sent = []

    async def act(exchange, gateway):
        await trade(exchange, gateway)
        sent.extend(exchange.requests)

    await record(path, act)
    transcript = read(path)
    told = [(one.request.method, one.request.path) for one in transcript.exchanged]
    assert told == [(r.method, r.path) for r in sent]
    for one, received in zip(transcript.exchanged, sent, strict=True):
        params = {name: value for name, value in one.request.params.items() if name != "signature"}
        assert params == dict(received.params)
        assert one.request.host == received.host == "testnet.binance.vision"
        assert one.answer.headers["Content-Type"].startswith("application/json")
        assert one.answer.headers["Server"] == "***"
    assert [one.number for one in transcript.exchanged] == list(range(1, len(sent) + 1))
    times = [one.at_us for one in transcript.exchanged]
    assert times == sorted(times)
    assert all(one.took_us > 0 for one in transcript.exchanged)
    (order,) = [o for o in transcript.exchanged if o.request.endpoint == "POST /api/v3/order"]
    assert order.request.headers["X-MBX-APIKEY"] == "***"
    assert order.answer.told["fills"][0]["commission"] == "0.002"


@pytest.mark.parametrize("fault", [DropAfter(), Truncate()])
async def test_a_failure_is_noted_and_goes_on(tmp_path, fault):
    """A request without a whole answer is in the file with its error; the gateway sees what it would see otherwise."""
    path = tmp_path / "x.jsonl"

    async def act(exchange, gateway):
        exchange.inject(FaultRule("submit", fault))
        answer = await gateway.submit(ORDER)
        assert answer.status == "unknown"
        await gateway.look_up("tri1", "ETH/USDT")

    await record(path, act)
    transcript = read(path)
    (failed,) = [one for one in transcript.exchanged if one.failed]
    assert failed.request.endpoint == "POST /api/v3/order"
    assert failed.answer is None
    replayed = await replay(transcript)
    assert replayed.left_out == (failed.number,)
    # the order is not sent here, since nobody knows what came of it, and so its look-up finds none
    wheres = {(d.endpoint, d.there, d.here) for d in replayed.differences}
    assert ("GET /api/v3/order", "status 200", "status 400") in wheres


@pytest.mark.parametrize("path", sorted(TRANSCRIPTS.glob("*.jsonl")), ids=lambda path: path.stem)
async def test_every_transcript_shows_the_differences_that_are_known(path):
    """The loopback exchange answers every kept transcript alike, but for what `NAME.differences` beside it lists."""
    transcript = read(path)
    known = path.with_suffix(".differences")
    expected = known.read_text().splitlines() if known.exists() else []
    replayed = await replay(transcript)
    assert [str(difference) for difference in replayed.differences] == expected
    assert replayed.compared > 10
    if transcript.source == "loopback":
        assert not expected


def doctored(change):
    """The kept transcript of the loopback exchange with each line's dictionary changed."""
    head, *lines = LOOPBACK.read_text().splitlines()
    told = [json.loads(line) for line in lines]
    for one in told:
        change(one)
    return "\n".join([head, *map(json.dumps, told), ""])


def _order(one):
    return one["request"]["method"] == "POST" and one["request"]["path"] == "/api/v3/order"


def _uid(one):
    if one["request"]["path"] == "/api/v3/account":
        one["answer"]["body"]["json"]["uid"] = 0


def _kind(one):
    if one["request"]["path"] == "/api/v3/account":
        one["answer"]["body"]["json"]["balances"][0]["free"] = 1.5


def _state(one):
    body = one["answer"]["body"].get("json")
    if _order(one) and body.get("status") == "EXPIRED":
        body["status"] = "EXPIRED_IN_MATCH"


def _code(one):
    body = one["answer"]["body"].get("json")
    if _order(one) and body.get("code") == -2010:
        body["code"] = -1013


def _status(one):
    if _order(one) and one["answer"]["status"] == 400:
        one["answer"]["status"] = 409


def _filter(one):
    if one["request"]["path"] == "/api/v3/exchangeInfo":
        filters = one["answer"]["body"]["json"]["symbols"][0]["filters"]
        filters.append({"filterType": "ICEBERG_PARTS", "limit": 10})


def _page(one):
    if one["request"]["path"] == "/api/v3/time":
        one["answer"]["body"] = {"text": "<html>"}


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (_uid, "GET /api/v3/account uid: an integer there, missing here"),
        (_kind, "GET /api/v3/account balances[].free: a number or a text there, a text here"),
        (_state, "POST /api/v3/order status: EXPIRED_IN_MATCH there, EXPIRED here"),
        (_code, "POST /api/v3/order code: -1013 there, -2010 here"),
        (_status, "POST /api/v3/order: status 409 there, status 400 here"),
        (_filter, "GET /api/v3/exchangeInfo symbols[].filters[ICEBERG_PARTS]: an object there, missing here"),
        (_page, "GET /api/v3/time: text there, json here"),
    ],
)  # fmt: skip
async def test_a_doctored_transcript_shows_its_difference(tmp_path, capsys, change, shown):
    """Each kind of difference that an exchange could have is told once, with the requests that show it."""
    path = tmp_path / "x.jsonl"
    path.write_text(doctored(change))
    replayed = await replay(read(path))
    (difference,) = replayed.differences
    assert str(difference).startswith(shown)
    assert difference.numbers
    assert str(difference).endswith(")")


def test_the_command_prints_differences(tmp_path, capsys):
    """``python -m triarb.testing.transcripts`` prints them, and its exit code says whether there are any."""
    path = tmp_path / "x.jsonl"
    path.write_text(doctored(_uid))
    assert main([str(LOOPBACK)]) == 0
    assert capsys.readouterr().out.endswith("left out: no differences\n")
    assert main([str(path)]) == 1
    out = capsys.readouterr().out
    assert "uid: an integer there, missing here (requests" in out
    assert out.endswith(": 1 difference\n")


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (Credentials("wrong-key-0123456789", KEYS.secret), -2015),
        (Credentials(KEYS.key, "wrong-secret-0123456789"), -1022),
    ],
)
async def test_a_refused_key_is_replayed_as_one(tmp_path, keys, code):
    """What an exchange says of wrong keys is compared, too, though no key is in the file."""
    path = tmp_path / "x.jsonl"

    async def act(exchange, gateway):
        with pytest.raises(TriarbError):
            await gateway.balances()

    await record(path, act, keys=keys)
    transcript = read(path)
    assert code in [one.answer.told.get("code") for one in transcript.exchanged]
    assert (await replay(transcript)).differences == ()


async def test_real_answers_of_binance_can_be_replayed():
    """Binance's own bodies of 2019 lose nothing by sanitizing, and what has changed since is what differs."""
    if not REAL.exists():
        pytest.skip("../shared/data/raw is missing")
    answered = []
    for number, (path, name) in enumerate(
        [("exchangeInfo", "exchangeInfo"), ("ticker/24hr", "ticker24hr")], 1
    ):
        packed = (REAL / f"binance_{name}_2019-08-22.json.gz").read_bytes()
        text = gzip.decompress(packed).decode()
        body = Sanitizer([KEYS.key, KEYS.secret]).body(text, "application/json")
        assert body == {"json": loads(text)}
        request = Request("GET", "api.binance.com", f"/api/v3/{path}")
        answered.append(Exchanged(number, number, 1, request, Answer(200, {}, body)))
    replayed = await replay(Transcript("binance", "production", 0, answered))
    wheres = {(d.where, d.there) for d in replayed.differences}
    assert replayed.compared == 2
    assert ("symbols[].filters[MIN_NOTIONAL]", "an object") in wheres
    assert ("symbols[].permissions", "missing") in wheres
    assert not [d for d in replayed.differences if d.endpoint.endswith("24hr")]


def test_files_that_are_no_transcripts_are_refused(tmp_path):
    """Nothing there, another version, no JSON: one error; a last line that was broken off is left out."""
    path = tmp_path / "x.jsonl"
    for text in (
        None,
        "",
        "no\n",
        '{"triarb_transcript": 2}\n',
        "[]\n",
        '{"triarb_transcript": 1}\n',
    ):
        if text is not None:
            path.write_text(text)
        with pytest.raises(SourceError, match="is no transcript") as caught:
            read(path)
        assert caught.value.code == "transcript.unreadable"
    path.write_text(LOOPBACK.read_text()[:-100])
    assert len(read(path).exchanged) == len(read(LOOPBACK).exchanged) - 1


async def test_what_cannot_be_recorded_or_replayed_is_refused(tmp_path):
    """A file that is there is not written over; another exchange's protocol and unknown markets are not guessed."""
    path = tmp_path / "x.jsonl"
    path.write_text("mine")
    with pytest.raises(UsageError, match="File exists"), Recorder(path, exchange="x", source="y"):
        pass
    assert path.read_text() == "mine"
    transcript = read(LOOPBACK)
    for changed, code in (
        (attrs.evolve(transcript, exchange="okx"), "transcript.protocol"),
        (attrs.evolve(transcript, exchanged=()), "transcript.no_markets"),
    ):
        with pytest.raises(UsageError) as caught:
            await replay(changed)
        assert caught.value.code == code


def test_names_that_are_hidden_and_names_that_are_not():
    """Secrets, persons and accounts by their names in any spelling; nothing that a bot decides by."""
    hidden = (
        "apiKey api_key API-KEY secretKey signature sign passphrase uid makerUid userId account_id accountNo email ip "
        "userIp IPAddress ipList listenKey token accessToken subAccountId withdrawAddress KC-API-PASSPHRASE"
    )
    kept = (
        "symbol orderId clientOrderId newClientOrderId tradeId timestamp recvWindow accountType commissionAsset "
        "discountAsset isWorking permissions filterType feeToken tokenDiscount keyed design"
    )
    assert [name for name in hidden.split() if not hides(name)] == []
    assert [name for name in kept.split() if hides(name)] == []
    assert [n for n in ("X-MBX-APIKEY", "Set-Cookie", "OK-ACCESS-SIGN") if KEPT.fullmatch(n)] == []
    assert Sanitizer(()).pairs([("sign", "ab12"), ("symbol", "A")]) == (
        ("sign", "***"),
        ("symbol", "A"),
    )
    assert Sanitizer(()).body('{"ipRestrict": true, "uid": null}', "")["json"] == {
        "ipRestrict": True,
        "uid": None,
    }


def test_empty_lists_say_nothing():
    """A list without entries on one side is no difference, and neither is a value."""
    there = Answer(200, {}, {"json": {"fills": [], "price": "1.0"}})
    here = Answer(200, {}, {"json": {"fills": [{"price": "1"}], "price": "2"}})
    assert list(differences("GET /x", there, here)) == []

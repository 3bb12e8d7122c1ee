"""Where a configuration trades: on paper or in the exchange's own sandbox; none, of any kind, on production."""

from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from triarb import TradingConfig
from triarb.exceptions import ConfigError, SecretError, TradingRefused, UsageError
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.paper import PaperGateway
from triarb.operations import Parts
from triarb.operations.parts import choose_mode, why_paper
from triarb.operations.settings import GUIDE, SETTINGS


def load(toml=None, env=None):
    """The configuration of these texts."""
    if toml is not None:
        Path("triarb.toml").write_text(toml)
    return TradingConfig.load(environ=env or {})


@pytest.fixture(autouse=True)
def _own_folder(tmp_path_factory):
    """A folder without files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("own"))
        yield


def test_keys_lead_to_the_exchanges_own_sandbox():
    """With keys and an own sandbox it is that; else paper, and the reason is said."""
    keys = {"API_KEY": "k1", "SECRET_KEY": "s1"}
    parts = Parts.of(load(env={**keys, "EXCHANGE_NAME": "binance"}))
    assert isinstance(parts.gateway, CcxtGateway)
    assert parts.gateway.mode == "sandbox"
    assert parts.ledger.name == "binance-sandbox-main.sqlite"
    assert parts.notes == ("sandbox: keys are set",)
    assert why_paper(load(env={**keys, "EXCHANGE_NAME": "binance"})) == ()
    for env, why in (
        (keys, "not known to be binanceus's own"),
        ({**keys, "EXCHANGE_NAME": "kraken"}, "kraken has no sandbox"),
        ({**keys, "EXCHANGE_NAME": "bybit"}, "cannot find an order on bybit"),
        ({"API_KEY": "k1", "EXCHANGE_NAME": "binance"}, "only api_key is set"),
        ({**keys, "EXCHANGE_NAME": "binance", "SANDBOX": "false"}, "sandbox is false"),
    ):
        parts = Parts.of(load(env=env))
        assert parts.gateway.mode == "paper"
        assert why in " ".join(parts.notes)
        assert why in " ".join(why_paper(load(env=env)))


def test_a_sandbox_that_is_asked_for_by_name_is_that_or_an_error():
    """Without keys, or where the exchange has none of its own, it is refused, never replaced."""
    with pytest.raises(UsageError, match="needs a key") as caught:
        Parts.of(load(env={"EXCHANGE_NAME": "binance"}), "sandbox")
    assert caught.value.code == "config.required"
    with pytest.raises(TradingRefused) as refused:
        Parts.of(load(env={"API_KEY": "k1", "SECRET_KEY": "s1"}), "sandbox")
    assert refused.value.code == "gateway.foreign_sandbox"
    keys = {"EXCHANGE_NAME": "okx", "API_KEY": "k1", "SECRET_KEY": "s1"}
    with pytest.raises(UsageError, match="wants password"):
        Parts.of(load(env=keys))
    assert Parts.of(load(env={**keys, "PASSPHRASE": "p1"})).gateway.mode == "sandbox"


def test_live_is_refused():
    """`live = true` is answered with a refusal, and paper that is asked for by name is paper."""
    config = load("live = true", {"API_KEY": "k1", "SECRET_KEY": "s1", "EXCHANGE_NAME": "binance"})
    with pytest.raises(TradingRefused) as caught:
        choose_mode(config)
    assert caught.value.code == "gateway.production"
    assert "production" in why_paper(config)[0]
    assert Parts.of(config, "paper").gateway.mode == "paper"
    assert Parts.of(config, "sandbox").gateway.mode == "sandbox"


WORDS = st.sampled_from(
    ["true", "false", "1", "0", "yes", "live", "production", "binance", "binanceus", "okx", "USDT", "5", "0.005",
     "100 USDT", "-1", "k1", "s1", "p1", "", "your_api_key_here"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)  # fmt: skip
NAMES = st.sampled_from(
    [*(f"TRIARB_{name.upper()}" for name in SETTINGS), *GUIDE, "LIVE", "TRIARB_MODE"]
)
VARIABLES = st.dictionaries(NAMES, WORDS, max_size=8)
TOML_VALUES = st.one_of(
    st.booleans(), st.integers(-5, 10_000), st.floats(allow_nan=False), WORDS, st.lists(WORDS, max_size=2)
)  # fmt: skip
SETTLED = st.fixed_dictionaries(
    {},
    optional={
        "live": st.booleans(),
        "sandbox": st.booleans(),
        "exchange": st.sampled_from(["binance", "okx", "kraken", "binanceus"]),
        "api_key": st.just("k1"),
        "secret_key": st.just("s1"),
        "passphrase": st.just("p1"),
        "max_legs": st.integers(3, 5),
    },
)


def toml(value):
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return repr(value)


def writes_to_production(gateway):
    """Whether an order through a gateway could reach production, were it not refused there once more."""
    inner = gateway._source if isinstance(gateway, PaperGateway) else gateway
    return inner._credentials is not None and (gateway is not inner or not inner._sandbox)


@pytest.mark.once
@settings(max_examples=150)
@given(
    file=st.one_of(SETTLED, st.dictionaries(st.sampled_from([*SETTINGS, "mode"]), TOML_VALUES, max_size=6)),
    env=VARIABLES,
    dotenv=VARIABLES,
    options=st.dictionaries(st.sampled_from(list(SETTINGS)), WORDS, max_size=3),
    mode=st.sampled_from([None, "paper", "sandbox"]),
)  # fmt: skip
def test_no_configuration_makes_a_production_gateway(
    tmp_path_factory, file, env, dotenv, options, mode
):
    """Whatever is told, wherever: a gateway is paper without keys, or a sandbox's; else there is none, and a reason.

    Without `live = true` and arming nothing trades on production; there is no arming, so with it neither.
    """
    folder = tmp_path_factory.mktemp("any")
    (folder / "x.toml").write_text("".join(f"{k} = {toml(v)}\n" for k, v in file.items()))
    lines = (f"{name}='{value}'\n" for name, value in dotenv.items() if not {"'", "\\"} & {*value})
    (folder / "x.env").write_text("".join(lines))
    (folder / "x.toml").chmod(0o600)
    (folder / "x.env").chmod(0o600)
    try:
        config = TradingConfig.load(
            folder / "x.toml", dotenv=folder / "x.env", environ=env, options=options
        )
        parts = Parts.of(config, mode)
    except (ConfigError, TradingRefused, UsageError, SecretError) as error:
        assert error.code  # noqa: PT017 - either outcome is one
        return
    assert parts.gateway.mode in {"paper", "sandbox"}
    assert not writes_to_production(parts.gateway)
    assert mode is None or parts.gateway.mode == mode
    if mode is None:
        assert not config.live
        assert parts.gateway.mode == "paper" or (config.sandbox and config.has_keys)
    for money in (config.max_notional, config.max_daily_loss):
        assert isinstance(money.amount, Decimal)
        assert money.amount > 0
        assert money.currency == config.start
    for value in attrs.asdict(config, recurse=False).values():
        assert not isinstance(value, float)
    assert 0 <= parts.limits.min_edge_bps <= parts.limits.max_edge_bps


@given(env=VARIABLES, dotenv=VARIABLES)
def test_what_is_told_is_what_holds(tmp_path_factory, env, dotenv):
    """A value that holds and is no default was told under the name that its origin says, and by nobody later."""
    file = tmp_path_factory.mktemp("any") / "x.env"
    file.write_text("".join(f"{k}='{v}'\n" for k, v in dotenv.items() if not {"'", "\\"} & {*v}))
    try:
        config = TradingConfig.load(dotenv=file, environ=env)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - either outcome is one
        return
    for name, origin in config.origins.items():
        if origin.source == "the environment":
            assert env[origin.name]
            assert not any(
                SETTINGS[name].guide == told or f"TRIARB_{name.upper()}" == told
                for told, value in dotenv.items()
                if value and not {"'", "\\"} & {*value}
            )
        elif origin.source == str(file):
            assert dotenv[origin.name]
        else:
            assert origin.source == "default"

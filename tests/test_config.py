"""TradingConfig: what is told where, which wins, how it is read, and everything that is wrong at once."""

from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from triarb import TradingConfig
from triarb.exceptions import ConfigError
from triarb.gateways.paper import PaperGateway
from triarb.money import Money, Proxy
from triarb.operations import Parts, Secret
from triarb.operations.settings import GUIDE, SETTINGS

GUIDES_ENV = """\
# .env file
API_KEY=your_api_key_here
SECRET_KEY=your_secret_key_here
SANDBOX=true
MAX_POSITION_SIZE=100
MAX_DAILY_LOSS=50
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """A folder without files."""
    monkeypatch.chdir(tmp_path)


def load(toml=None, env=None, dotenv=None, **options):
    """The configuration of these texts."""
    if toml is not None:
        Path("triarb.toml").write_text(toml)
    if dotenv is not None:
        Path(".env").write_text(dotenv)
    return TradingConfig.load(environ=env or {}, options=options)


def problems(*arguments, **options):
    """What is wrong with these texts: code and setting of each."""
    with pytest.raises(ConfigError) as caught:
        load(*arguments, **options)
    assert caught.value.code == "config.invalid"
    return [(found["code"], found["setting"]) for found in caught.value.problems]


def test_nothing_told_is_the_guides_exchange_on_paper():
    """Without a word it is binanceus, small limits in USDT, no key, and every value says that it is a default."""
    config = load()
    assert config == TradingConfig()
    assert (config.exchange, config.start, config.has_keys, config.live) == (
        "binanceus", "USDT", False, False,
    )  # fmt: skip
    assert {str(origin) for origin in config.origins.values()} == {"default"}
    assert config.origins.keys() == SETTINGS.keys()


def test_the_settings_are_the_fields():
    """Each field of the configuration has its setting, in the same order, and each name is one."""
    fields = [field.name for field in attrs.fields(TradingConfig)]
    assert fields == [*SETTINGS, "origins", "ignored"]


def test_the_guides_env_works_as_it_stands():
    """Its placeholders are no key, its bare amounts are USDT, said so, and its limits hold."""
    config = load(dotenv=GUIDES_ENV)
    assert not config.has_keys
    assert config.credentials() is None
    assert config.max_notional == Money(Decimal(100), "USDT")
    assert config.max_daily_loss == Money(Decimal(50), "USDT")
    assert str(config.origins["max_daily_loss"]) == "MAX_DAILY_LOSS in .env; USDT assumed"
    assert str(config.origins["api_key"]) == "API_KEY in .env; a placeholder, so no key"
    parts = Parts.of(config)
    assert isinstance(parts.gateway, PaperGateway)
    assert "no api_key" in parts.notes[0]
    assert "not known to be binanceus's own" in parts.notes[1]
    assert parts.limits.max_daily_loss == Money(Decimal(50), "USDT")
    assert parts.ledger.name == "binanceus-paper-main.sqlite"


TOLD = {  # a setting: what a variable says, what TOML says, and what both mean
    "exchange": ("kraken", '"kraken"', "kraken"),
    "start": ("USDC", '"USDC"', "USDC"),
    "account": ("ada", '"ada"', "ada"),
    "api_key": ("k1", '"k1"', None),
    "secret_key": ("s1", '"s1"', None),
    "passphrase": ("p1", '"p1"', None),
    "sandbox": ("off", "false", False),
    "live": ("yes", "true", True),
    "max_notional": ("7 USDT", '"7 USDT"', Money(Decimal(7), "USDT")),
    "max_daily_loss": ("3", "3", Money(Decimal(3), "USDT")),
    "min_edge_bps": ("7.5", "7.5", Decimal("7.5")),
    "max_edge_bps": ("99", "99", Decimal(99)),
    "max_slippage_bps": ("12.25", "12.25", Decimal("12.25")),
    "max_legs": ("4", "4", 4),
    "max_age_ms": ("900", "900", 900),
    "max_skew_ms": ("800", "800", 800),
    "allow": ("BTC, ETH/BTC", '["BTC", "ETH/BTC"]', ("BTC", "ETH/BTC")),
    "deny": ("LUNA FTT", '["LUNA", "FTT"]', ("LUNA", "FTT")),
    "max_fee_drift_bps": ("2", "2", Decimal(2)),
    "min_stranded_edge_bps": ("-99", "-99", Decimal(-99)),
    "max_per_asset": ("2 ETH, 0.1 BTC", '["2 ETH", "0.1 BTC"]', (Money(Decimal(2), "ETH"), Money(Decimal("0.1"), "BTC"))),
    "max_exposure": ("70 USDT", '"70 USDT"', Money(Decimal(70), "USDT")),
    "max_residue": ("5", "5", Money(Decimal(5), "USDT")),
    "max_cycle_loss": ("4 USDT", '"4 USDT"', Money(Decimal(4), "USDT")),
    "max_drawdown": ("40 USDT", '"40 USDT"', Money(Decimal(40), "USDT")),
    "max_consecutive_losses": ("4", "4", 4),
    "max_cycles_per_minute": ("6", "6", 6),
    "cycle_cooldown_seconds": ("30", "30", 30),
    "market_cooldown_seconds": ("5", "5", 5),
    "max_latency_ms": ("1500", "1500", 1500),
    "max_reject_percent": ("20", "20", Decimal(20)),
    "loss_budget_percent": ("10", "10", Decimal(10)),
    "min_notional": ("10 USDT", '"10 USDT"\nloss_budget_percent = 10', Money(Decimal(10), "USDT")),
    "hours": ("08:00-20:00, 22:00-23:00", '["08:00-20:00", "22:00-23:00"]', ("08:00-20:00", "22:00-23:00")),
    "rolling_24_hours": ("no", "false", False),
    "proxies": (
        "USD = USDT, haircut 1 %; EUR=USDC, haircut 2 %", '["USD = USDT, haircut 1 %", "EUR = USDC, haircut 2 %"]',
        (Proxy("USD", "USDT", Decimal(1)), Proxy("EUR", "USDC", Decimal(2))),
    ),
    "references": ("BTC/USDT", '["BTC/USDT"]', ("BTC/USDT",)),
    "min_depth": ("500 USDT", '["500 USDT"]', (Money(Decimal(500), "USDT"),)),
    "max_reference_age_ms": ("7000", "7000", 7000),
    "breaker_failures": ("6", "6", 6),
    "breaker_losses": ("6", "6", 6),
    "breaker_drifts": ("6", "6", 6),
    "breaker_rejects": ("6", "6", 6),
    "breaker_slow": ("6", "6\nbreaker_max_leg_ms = 9", 6),
    "breaker_max_leg_ms": ("900", "900\nbreaker_slow = 3", 900),
    "breaker_recovery_seconds": ("60", "60", 60),
    "interval_seconds": ("0.5", "0.5", Decimal("0.5")),
    "ledger": ("my.sqlite", '"my.sqlite"', Path("my.sqlite")),
    "rehearsals": ("a.sqlite, b.sqlite", '["a.sqlite", "b.sqlite"]', (Path("a.sqlite"), Path("b.sqlite"))),
    "claim": (
        "5 USDT, BTC=0.1", '["5 USDT", "0.1 BTC"]', (Money(Decimal(5), "USDT"), Money(Decimal("0.1"), "BTC")),
    ),
    "foreign_prefixes": ("web_, bot7-", '["web_", "bot7-"]', ("web_", "bot7-")),
    "watch_seconds": ("30", "30", Decimal(30)),
    "freeze": ("yes", "true", True),
    "balance": (
        "5 USDT, BTC=0.1", '["5 USDT", "0.1 BTC"]', (Money(Decimal(5), "USDT"), Money(Decimal("0.1"), "BTC")),
    ),
    "fee_bps": ("-0.5", "-0.5", Decimal("-0.5")),
    "latency_ms": ("20", "20", Decimal(20)),
    "audit": ("Required", '"required"', "required"),
    "audit_keep_mb": ("0", "0", 0),
    "ack_hours": ("0.5", "0.5", Decimal("0.5")),
    "dead_man_url": ("https://x/y", '"https://x/y"', None),
    "dead_man_seconds": ("30", "30", 30),
    "webhook_url": ("https://x/z", '"https://x/z"', None),
}  # fmt: skip


NEEDED = {
    "min_notional": {"loss_budget_percent": "10"},
    "breaker_slow": {"breaker_max_leg_ms": "9"},
    "breaker_max_leg_ms": {"breaker_slow": "3"},
}
"""What makes no sense without another."""


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_can_be_told_everywhere(name):
    """TOML, environment, .env and options each reach each setting, with the same meaning, and the origin says so."""
    text, toml, meant = TOLD[name]
    variable = f"TRIARB_{name.upper()}"
    loaded = {
        f"{name} in triarb.toml": load(f"{name} = {toml}"),
        f"{variable} in the environment": load("", {variable: text}, **NEEDED.get(name, {})),
        f"{variable} in .env": load("", dotenv=f"{variable}={text}\n", **NEEDED.get(name, {})),
    }
    for origin, config in loaded.items():
        value = getattr(config, name)
        if SETTINGS[name].is_secret:
            assert value.get_secret_value() == text
        else:
            assert value == meant
        assert str(config.origins[name]).startswith(origin)
    Path(".env").unlink()
    if not SETTINGS[name].is_secret:
        assert getattr(load("", **{name: text}, **NEEDED.get(name, {})), name) == meant


GUIDES = {
    "EXCHANGE_NAME": ("kraken", "exchange", "kraken"),
    "API_KEY": ("k1", "api_key", None),
    "SECRET_KEY": ("s1", "secret_key", None),
    "PASSPHRASE": ("p1", "passphrase", None),
    "SANDBOX": ("False", "sandbox", False),
    "MAX_POSITION_SIZE": ("12", "max_notional", Money(Decimal(12), "USDT")),
    "MAX_DAILY_LOSS": ("6.50", "max_daily_loss", Money(Decimal("6.5"), "USDT")),
    "MIN_PROFIT_THRESHOLD": ("0.005", "min_edge_bps", Decimal(50)),
    "MAX_SLIPPAGE": ("0.02", "max_slippage_bps", Decimal(200)),
    "MAX_CYCLE_LENGTH": ("5", "max_legs", 5),
    "SCAN_INTERVAL": ("5", "interval_seconds", Decimal(5)),
}


@pytest.mark.parametrize("name", GUIDES)
def test_every_name_of_the_guide_works(name):
    """Bare and with the prefix, in the environment, in .env and in TOML, in the guide's own units."""
    assert GUIDES.keys() == GUIDE.keys()
    text, setting, meant = GUIDES[name]
    toml = text.lower() if name == "SANDBOX" else text
    toml = f'"{toml}"' if setting == "exchange" or SETTINGS[setting].is_secret else toml
    for config in (
        load(env={name: text}),
        load(env={f"TRIARB_{name}": text}),
        load(dotenv=f"{name}={text}\n"),
        load(f"{name.lower()} = {toml}\n", dotenv=""),
    ):
        value = getattr(config, setting)
        assert value.get_secret_value() == text if isinstance(value, Secret) else value == meant


def test_later_wins_and_says_where_it_is_from():
    """TOML, then the environment, then .env, then the command line; triarb's own variable wins over the guide's."""
    toml, env, dotenv = "max_legs = 4", {"MAX_CYCLE_LENGTH": "5"}, "MAX_CYCLE_LENGTH=6\n"
    assert load(toml).max_legs == 4
    assert load(toml, env).max_legs == 5
    assert load(toml, {**env, "TRIARB_MAX_LEGS": "7"}).max_legs == 7
    config = load(toml, env, dotenv)
    assert (config.max_legs, str(config.origins["max_legs"])) == (6, "MAX_CYCLE_LENGTH in .env")
    config = load(toml, env, dotenv, max_legs="8")
    assert (config.max_legs, str(config.origins["max_legs"])) == (
        8,
        "--max-legs in the command line",
    )
    assert TradingConfig.load(dotenv=None, environ={}).max_legs == 4


def test_from_env_is_the_guides_name_for_it(monkeypatch):
    """The guide's classmethod reads the process's environment and .env."""
    monkeypatch.setenv("MAX_DAILY_LOSS", "7")
    Path(".env").write_text("MAX_POSITION_SIZE=9\n")
    config = TradingConfig.from_env()
    assert (str(config.max_daily_loss), str(config.max_notional)) == ("7 USDT", "9 USDT")


def test_amounts_follow_the_start_asset():
    """A bare amount means it; a currency that is told is it; what nobody told is never 100 bitcoins."""
    config = load('start = "BTC"\nmax_notional = 0.01\nmax_daily_loss = "0.001 BTC"')
    assert str(config.max_notional) == "0.01 BTC"
    assert config.origins["max_notional"].note == "BTC assumed"
    assert config.origins["max_daily_loss"].note == ""
    config = load("", max_notional="50 EUR")
    assert (config.start, str(config.max_daily_loss), str(config.balance[0])) == (
        "EUR", "20 EUR", "1000 EUR",
    )  # fmt: skip
    assert str(config.origins["start"]) == "default; the currency of max_notional"
    assert problems('start = "BTC"') == [
        ("config.required", "max_notional"),
        ("config.required", "max_daily_loss"),
    ]


def test_everything_that_is_wrong_is_told_at_once():
    """E11: every mistake of every source, overridden ones as well, each with its source, its value and what to write."""
    with pytest.raises(ConfigError) as caught:
        load(
            'max_notionl = 5\nmax_legs = "3"\nmin_edge_bps = 0.005\n[foo]\nx = 1\n',
            {"TRIARB_MAX_AGE_SM": "5", "MAX_DAILY_LOSS": "-5", "HOME": "/"},
            "MIN_PROFIT_THRESHOLD=0.5\nMAX_DAILY_LOS=4\nSANDBOX=maybe\nOTHER=1\nthis is no line\n",
            exchange="binanse",
            max_notional="1,000",
        )
    lines = str(caught.value).splitlines()
    assert lines == [
        "12 settings cannot be used:",
        "  triarb.toml, max_notionl: there is no such setting (did you mean max_notional?)",
        "  triarb.toml, foo: there is no such setting (triarb config schema lists them)",
        "  the environment, TRIARB_MAX_AGE_SM: there is no such setting (did you mean TRIARB_MAX_AGE_MS?)",
        "  .env: line 5 is not NAME=VALUE (close its quotes, or make it a # comment)",
        "  .env, MAX_DAILY_LOS: there is no such setting (did you mean MAX_DAILY_LOSS?)",
        '  triarb.toml, max_legs="3": it is a text, not a number (write 3 without quotes)',
        (
            "  triarb.toml, min_edge_bps=0.005: so few basis points make no difference; it looks like a fraction "
            "(did you mean 50 bps (0.5 %)?)"
        ),
        "  the environment, MAX_DAILY_LOSS=-5: it is negative (write an amount above zero)",
        (
            "  .env, MIN_PROFIT_THRESHOLD=0.5: a fraction of 0.5 is 50 %, above 10 % "
            "(write 0.005 for 0.5 %; did you mean 0.005?)"
        ),
        "  .env, SANDBOX=maybe: it is neither true nor false (write true or false)",
        "  the command line, --max-notional=1,000: it is not a number (write 1000)",
        "  the command line, EXCHANGE=binanse: 'binanse' is not an exchange that ccxt "
        + lines[-1].partition(" ccxt ")[2],
    ]
    assert "did you mean binance" in lines[-1]
    assert {found["source"] for found in caught.value.problems} == {
        "triarb.toml", "the environment", ".env", "the command line",
    }  # fmt: skip


WRONG = {
    "a text for a number": ('max_age_ms = "5"', "config.type"),
    "a boolean for a number": ("max_age_ms = true", "config.type"),
    "a list for a number": ("max_age_ms = [5]", "config.type"),
    "a date for a number": ("max_age_ms = 2026-01-01", "config.type"),
    "no number": ('max_notional = "many"', "config.number"),
    "not finite": ("max_edge_bps = inf", "config.number"),
    "too many digits": (f"max_edge_bps = 5.{'1' * 40}", "config.number"),
    "a broken number of legs": ("max_legs = 3.5", "config.number"),
    "nine legs": ("max_legs = 9", "config.range"),
    "two legs": ("max_legs = 2", "config.range"),
    "no money": ("max_notional = 0", "config.range"),
    "absurd money": ("max_notional = 1e13", "config.range"),
    "negative money": ('max_notional = "-5 USDT"', "config.range"),
    "a negative edge": ("min_edge_bps = -30", "config.range"),
    "a negative fraction": ("min_profit_threshold = -0.3", "config.range"),
    "no slippage": ("max_slippage = 0", "config.range"),
    "a percentage": ("min_profit_threshold = 50", "config.percent"),
    "a small percentage": ("max_slippage = 2", "config.percent"),
    "an interval of an hour and more": ("scan_interval = 86400", "config.range"),
    "an edge above the largest": ("min_edge_bps = 600", "config.contradiction"),
    "a largest edge below the least": ("max_edge_bps = 40", "config.contradiction"),
    "another currency": ('start = "USDT"\nmax_notional = "5 EUR"', "config.currency"),
    "small letters": ('start = "usdt"', "config.type"),
    "no name": ('start = "US DT"', "config.type"),
    "odd letters": ('start = "US/DT"', "config.type"),
    "an empty name": ('exchange = ""', "config.type"),
    "a number for a name": ("exchange = 5", "config.type"),
    "a text for a boolean": ('sandbox = "false"', "config.type"),
    "a number for a boolean": ("sandbox = 0", "config.type"),
    "a text for a list": ('allow = "BTC"', "config.type"),
    "a number in a list": ("allow = [5]", "config.type"),
    "a number for a path": ("ledger = 5", "config.type"),
    "a number for a key": ("api_key = 12345678", "config.type"),
    "a table for a key": ("[api_key]\nx = 1", "config.type"),
    "a balance without the start": ('balance = "5 BTC"', "config.currency"),
    "a balance twice": ('balance = ["5 USDT", "6 USDT"]', "config.contradiction"),
    "a balance twice, once assumed": ('balance = ["5 USDT", 6]', "config.currency"),
    "no balance": ("balance = []", "config.currency"),
    "live in a sandbox": ("live = true\nsandbox = true", "config.contradiction"),
    "an exchange that is a class of ccxt": ('exchange = "Exchange"', "source.unknown_exchange"),
    "no TOML": ("max_legs = = 3", "config.unreadable"),
    "a key twice": ("max_legs = 3\nmax_legs = 3", "config.unreadable"),
    "told twice": ("max_notional = 5\nmax_position_size = 6", "config.contradiction"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_refused(name):
    """E11: each mistake in a file has its code, one problem, a sentence and a mend."""
    toml, code = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        load(toml)
    (found,) = caught.value.problems
    assert found["code"] == code
    assert found["message"]
    assert found["hint"]
    assert str(caught.value).count("\n") == 0


MENDS = {
    "MIN_PROFIT_THRESHOLD=0.5%": "write 0.005 for 0.5%",
    "MIN_PROFIT_THRESHOLD=x%": "write a number",
    "MAX_DAILY_LOSS=50,5": "write 50.5",
    "MAX_DAILY_LOSS=1,234.50": "write 1234.50",
    "MAX_DAILY_LOSS=$50": 'write 50, or with its currency, such as "50 USDT"',
    "MAX_DAILY_LOSS=50USDT": 'write "50 USDT"',
    "MAX_DAILY_LOSS=1.000,50": "write 1000.50",
    "MAX_DAILY_LOSS=1 000": "write 1000, without a space",
    "MAX_DAILY_LOSS=50%": 'write an amount, such as "100 USDT"',
    "MAX_DAILY_LOSS=5000000000000": "write at most 1000000000000",
    "TRIARB_MIN_EDGE_BPS=0.5%": "write 50: it is counted in basis points",
    "TRIARB_MAX_DRAWDOWN=nan": 'write an amount, such as "100 USDT"',
    "TRIARB_HOURS=8-25": "such as 08:00-20:00, in UTC",
    "TRIARB_DENY=luna": "did you mean LUNA?",
    "TRIARB_ALLOW=BTC eth/btc": "did you mean ETH/BTC?",
    "TRIARB_LEDGER=postgresql://me:canary@host/db": "name a file",
    "MAX_NOTIONAL=5": "did you mean TRIARB_MAX_NOTIONAL?",
    "max_daily_loss=5": "did you mean MAX_DAILY_LOSS?",
    "triarb_max_notional=5": "did you mean TRIARB_MAX_NOTIONAL?",
    "Triarb_Max_Notionl=5": "did you mean TRIARB_MAX_NOTIONAL?",
    "API_KEY=vualt://secret/binance": "begins with file://, keyring://, aws:// or vault://",
    "API_KEY=FILE:///run/key": "begins with file://, keyring://, aws:// or vault://",
    'API_KEY="file:///run/my keys"': "an address has no spaces",
    "EXCHANGE_NAME=Binance": "did you mean binance",
}


@pytest.mark.parametrize("line", MENDS)
def test_common_slips_are_mended(line):
    """Percent signs, commas, currency signs and case are told how to be written."""
    with pytest.raises(ConfigError) as caught:
        load(dotenv=f"{line}\n")
    assert MENDS[line] in str(caught.value)


def test_files_that_cannot_be_read_are_named():
    """A file that was named and is not there, a folder, and what is no text are problems; a default may be missing."""
    with pytest.raises(ConfigError, match=r"none.toml: there is no such file \(triarb config init"):
        TradingConfig.load("none.toml", environ={})
    with pytest.raises(ConfigError, match="Is a directory"):
        TradingConfig.load(".", environ={}, dotenv=".")
    Path("x.toml").write_bytes(b"\xff")
    Path("x.env").write_bytes(b"\xff")
    Path("deep.toml").write_text(f"x = {'[' * 5000}")
    for file in ("x.toml", "deep.toml"):
        with pytest.raises(ConfigError) as caught:
            TradingConfig.load(file, dotenv="x.env", environ={})
        assert [found["code"] for found in caught.value.problems] == ["config.unreadable"] * 2


def test_a_byte_order_mark_is_no_mistake():
    """What a Windows editor puts in front of a file changes nothing that the file says."""
    Path("triarb.toml").write_bytes(b"\xef\xbb\xbfmax_legs = 4\n")
    Path(".env").write_bytes(b"\xef\xbb\xbfTRIARB_MAX_NOTIONAL=5\n")
    config = TradingConfig.load(environ={})
    assert (config.max_legs, str(config.max_notional)) == (4, "5 USDT")


def test_a_password_in_an_address_that_belongs_nowhere_does_not_show():
    """I13: an address where a path belongs is refused without its login."""
    with pytest.raises(ConfigError) as caught:
        load('ledger = "postgresql://me:canary@host/db"\n')
    assert "canary" not in str(caught.value) + repr(caught.value.problems)


def test_other_programs_variables_are_left_alone():
    """A .env may serve others as well; an environment has hundreds, of which limits misspelt are named. Empty is not told."""
    config = load(
        env={"PATH": "/bin", "EDITOR": "vi", "MAX_SLIPAGE": "2", "API_KEY": ""},
        dotenv="DATABASE_URL=x\nAPI_KY=real\nMAX_DAILY_LOSS=\nDENY=LUNA\nWEBHOOK_URL=x\n",
    )
    assert config.ignored == ("MAX_SLIPAGE", "API_KY", "DENY", "WEBHOOK_URL")
    assert config.max_daily_loss == Money(Decimal(20), "USDT")
    assert problems(env={"TRIARB_": "x"}, dotenv="") == [("config.unknown", "TRIARB_")]
    assert problems(no_such="x") == [("config.unknown", "--no-such")]


def test_a_setting_told_twice_must_agree():
    """The same value under two names passes; another one is a problem."""
    assert load(dotenv="MAX_DAILY_LOSS=5\nMAX_DAILY_LOSS=5\n").max_daily_loss.amount == 5
    assert problems(dotenv="MAX_DAILY_LOSS=5\nMAX_DAILY_LOSS=500\n") == [
        ("config.contradiction", "MAX_DAILY_LOSS")
    ]
    assert problems(env={"TRIARB_API_KEY": "a"}, dotenv="API_KEY=a\nAPI_KEY=b\n") == [
        ("config.contradiction", "API_KEY")
    ]


PEM = "-----BEGIN EC PRIVATE KEY-----\nAAAA\nBBBB\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    "line",
    [f'SECRET_KEY="{PEM}"', f"SECRET_KEY='{PEM}'", "SECRET_KEY=" + PEM.replace("\n", "\\n")],
)
def test_keys_may_have_several_lines(line):
    """A private key in quotes over several lines, or in one with backslashes, is the same key."""
    config = load(dotenv=f"API_KEY=organisations/1/apiKeys/2\n{line}\nMAX_DAILY_LOSS=5\n")
    Path(".env").chmod(0o600)
    credentials = config.credentials()
    assert credentials is not None
    assert credentials.secret == PEM
    assert config.max_daily_loss.amount == 5
    assert load(env={"API_KEY": "k", "SECRET_KEY": PEM}, dotenv="").credentials().secret == PEM


@pytest.mark.parametrize(
    "text",
    ["your_api_key_here", "YOUR_API_KEY", "YOUR_SECRET_KEY", "<key>", "xxx", "changeme", "${API_KEY}",
     "replace-me", "***", "null", "placeholder"],
)  # fmt: skip
def test_placeholders_are_no_keys(text):
    """What only says what should stand there is not sent to an exchange."""
    config = load(dotenv=f"API_KEY='{text}'\nSECRET_KEY='{text}'\n")
    assert not config.has_keys

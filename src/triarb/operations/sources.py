"""Where settings are told: a TOML file, the environment, a `.env` file, a command line. Each is a loader of typed-settings."""

import difflib
import io
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs
from dotenv.parser import parse_stream
from typed_settings.types import LoadedSettings, LoaderMeta, OptionList

from triarb.operations import values
from triarb.operations.config import Origin
from triarb.operations.numbers import Reader
from triarb.operations.risk_settings import LIMIT_SETTINGS
from triarb.operations.secrets import Secret
from triarb.operations.settings import GUIDE, NAMES, SETTINGS

PREFIX: Final = "TRIARB_"
"""What a variable begins with that is triarb's; the guide's work without it, too."""

CONFIRMATION: Final = "TRIARB_ARM"
"""The variable of the environment that gives an account's name to arm production; no setting, and never in a file."""

UNKNOWN: Final = "there is no such setting"

Problem = dict[str, str | None]
"""As `ConfigError` carries it."""

_OPTIONS: Final = {
    "interval": "interval_seconds",
    "foreign": "foreign_prefixes",
}  # what the command calls it
_SHOWN: Final = 60
_LOGIN: Final = re.compile(r"://[^/\s]*@")
_CLOSE: Final = 0.85


@attrs.frozen
class Given:
    """What was told for a setting; one that could be a secret does not show.

    Attributes:
        value: a text, or what TOML made of one.
        typed: whether it is what TOML made of one.
        read: what reads it.
        origin: where it was told, and under which name.
    """

    value: Any = attrs.field(repr=False)
    typed: bool
    read: Reader
    origin: Origin

    @property
    def shown(self) -> str | None:
        """The value for people; None for what may be a secret."""
        if self.read in values.SECRETS:
            return None
        text = _toml(self.value) if self.typed else str(self.value)
        text = _LOGIN.sub("://***@", text)  # of an address that stands where none belongs
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@attrs.define
class Source:
    """One place with what it tells. It is a loader of typed-settings.

    Attributes:
        name: in words.
        file: where it is one.
        given: by setting.
        problems: what is wrong with it, apart from values.
        ignored: names that look like triarb's, and are not.
    """

    name: str
    file: Path | None = None
    given: dict[str, Given] = attrs.field(factory=dict)
    problems: list[Problem] = attrs.field(factory=list)
    ignored: list[str] = attrs.field(factory=list)

    def __call__(self, _settings_cls: type, _options: OptionList) -> LoadedSettings:
        """What typed-settings merges."""
        return LoadedSettings(dict(self.given), LoaderMeta(self.name))

    def tell(self, setting: str, spelt: str, value: Any, *, typed: bool = False) -> None:
        """Take in a value; what is told twice and differently is a problem."""
        own, guide = SETTINGS[setting], _bare(spelt) == SETTINGS[setting].guide
        if own.is_secret and isinstance(value, str):
            value = Secret(value)
        read = own.read_guide if guide and own.read_guide else own.read
        given = Given(value, typed, read, Origin(self.name, spelt, file=self.file))
        before = self.given.get(setting)
        if before is not None and not _same(before, given):
            hint = f"{before.origin.name} says something else; keep one of them"
            self.wrong("config.contradiction", "it is told twice", hint, spelt)
        self.given[setting] = given

    def wrong(self, code: str, message: str, hint: str, spelt: str | None = None) -> None:
        """Note a problem; the value of what is not a setting may be a key, and is not told."""
        self.problems.append(problem(code, message, hint, source=self.name, spelt=spelt))


def problem(
    code: str, message: str, hint: str, *, source: str, spelt: str | None, value: str | None = None
) -> Problem:
    """One of the problems of a `ConfigError`."""
    return {
        "code": code,
        "setting": spelt,
        "source": source,
        "value": value,
        "message": message,
        "hint": hint,
    }


def toml_file(path: Path, *, needed: bool) -> Source:
    """What a TOML file tells, its numbers exactly."""
    source = Source(str(path), path.absolute())
    try:
        data = tomllib.loads(path.read_bytes().decode("utf-8-sig"), parse_float=_exact)
    except FileNotFoundError:
        if needed:
            hint = "triarb config init writes one"
            source.wrong("config.missing", "there is no such file", hint)
        return source
    except OSError as error:
        why = error.strerror or type(error).__name__
        source.wrong("config.unreadable", why, "name a file that you may read")
        return source
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is no TOML"
        source.wrong("config.unreadable", why, "mend it there")
        return source
    for key, value in data.items():
        setting = NAMES.get(key.replace("-", "_").lower())
        if setting is None:
            source.wrong("config.unknown", UNKNOWN, _meant(key, str.lower), key)
        else:
            source.tell(setting, key, value, typed=True)
    return source


def environment(variables: Mapping[str, str]) -> Source:
    """What the environment tells: triarb's variables, and the guide's as they stand."""
    source = Source("the environment")
    _variables(source, variables.items())
    return source


def dotenv_file(path: Path) -> Source:
    """What a `.env` file tells, if it exists. Values in quotes may have several lines; nothing is put in for ``$``."""
    source = Source(str(path), path.absolute())
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return source
    except OSError as error:
        why = error.strerror or type(error).__name__
        source.wrong("config.unreadable", why, "name a file that you may read")
        return source
    except UnicodeDecodeError:
        source.wrong("config.unreadable", "it is no UTF-8", "save it as UTF-8")
        return source
    bindings = list(parse_stream(io.StringIO(text)))
    for binding in bindings:
        if binding.error or (binding.key and binding.value is None):  # its text may hold a key
            why = f"line {binding.original.line} is not NAME=VALUE"
            source.wrong("config.unreadable", why, "close its quotes, or make it a # comment")
    _variables(source, ((binding.key, binding.value) for binding in bindings if binding.key))
    return source


def command_line(options: Mapping[str, Any]) -> Source:
    """What options tell; those that are None were not given."""
    source = Source("the command line")
    for name, value in options.items():
        if value is not None:
            setting = _OPTIONS.get(name, name)
            told = ",".join(value) if isinstance(value, list | tuple) else value
            spelt = "EXCHANGE" if name == "exchange" else f"--{name.replace('_', '-')}"
            if setting in SETTINGS:
                source.tell(setting, spelt, told if isinstance(told, str) else str(told))
            else:
                source.wrong("config.unknown", UNKNOWN, _meant(name, str.lower), spelt)
    return source


def _variables(source: Source, variables: Iterable[tuple[str, str | None]]) -> None:
    """Triarb's own variables win over the guide's bare ones; an empty one is not told."""
    bare: list[tuple[str, str]] = []
    own: list[tuple[str, str]] = []
    for name, value in variables:
        if name == CONFIRMATION:
            if source.file is not None:
                hint = "set it in the environment of the one process that is to trade"
                source.wrong("config.confirmation", "a file cannot arm production", hint, name)
        elif name.upper().startswith(PREFIX):
            if _known(name) is None:
                hint = _meant(name, lambda known: f"{PREFIX}{known.upper()}")
                source.wrong("config.unknown", UNKNOWN, hint, name)
            elif value:
                own.append((name, value))
        elif name in GUIDE:
            bare += [(name, value)] if value else []
        else:
            _stranger(source, name)
    for name, value in own:
        source.tell(NAMES[_bare(name).lower()], name, value)
    for name, value in bare:
        if not any(_known(told) == GUIDE[name] for told, _ in own):
            source.tell(GUIDE[name], name, value)


def _stranger(source: Source, name: str) -> None:
    """A variable of another program, unless it looks like a limit that somebody misspelt, or told without the prefix.

    In a file that is an error; in the environment, which has hundreds, it is named. Of a file's others only those that
    look like ours are named: what stands in front of an = may be a key that slipped.
    """
    close = difflib.get_close_matches(name.upper(), GUIDE, n=1)
    own = NAMES.get(name.lower())
    meant = ""
    if own is not None and name.upper() not in GUIDE:
        meant = f"{PREFIX}{own.upper()}" if own in LIMIT_SETTINGS and "_" in own else ""
    elif close and not SETTINGS[GUIDE[close[0]]].is_secret:
        alike = difflib.SequenceMatcher(None, name.upper(), close[0]).ratio()
        meant = close[0] if alike >= _CLOSE else ""
    if meant and source.file is not None:
        source.wrong("config.unknown", UNKNOWN, f"did you mean {meant}?", name)
    elif meant or (source.file is not None and (close or own)):
        source.ignored.append(name)


def _known(name: str) -> str | None:
    return NAMES.get(_bare(name).lower()) if name.isupper() else None


def _bare(name: str) -> str:
    return name.upper().removeprefix(PREFIX)


def _same(one: Given, other: Given) -> bool:
    first, second = (
        g.value.get_secret_value() if isinstance(g.value, Secret) else g.value for g in (one, other)
    )
    return bool(first == second and one.read is other.read)


def _meant(name: str, spelt: Any) -> str:
    close = difflib.get_close_matches(_bare(name).lower().replace("-", "_"), NAMES, n=1)
    return f"did you mean {spelt(close[0])}?" if close else "triarb config schema lists them"


def _exact(text: str) -> Decimal:
    return Decimal(text)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)

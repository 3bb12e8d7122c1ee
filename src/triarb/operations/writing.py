"""A configuration file to begin with, and the JSON Schema by which an editor checks and completes it."""

import tomllib
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from triarb.exceptions import UsageError
from triarb.operations.setting import Setting
from triarb.operations.settings import SETTINGS

_HEAD: Final = """\
# The configuration of triarb. Every line is an example: take away the # of what you want to say.
# The environment (TRIARB_MAX_LEGS=4), a .env file and the command's options each override what was told before them.
# `triarb config show` says what holds, and where it comes from.
# Amounts are text with their currency; a number alone means the start asset.
"""


def example_file() -> str:
    """The text of a file with every setting, explained and commented out."""
    parts = [_HEAD]
    for group, members in groupby(SETTINGS.items(), lambda item: item[1].group):
        parts.append(f"# {group}\n")
        parts += [_entry(name, setting) for name, setting in members]
    return "\n".join(parts)


def write_example(path: Path) -> None:
    """Write `example_file`; never over a file that exists. Only its owner may read it: keys may come to stand in it.

    Raises:
        UsageError: `config.exists`, or `config.unwritable`.
    """
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(example_file(), encoding="utf-8")
    except FileExistsError:
        raise UsageError(
            f"{path} exists already", code="config.exists", hint="name another file, or remove it"
        ) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UsageError(
            f"{path} cannot be written: {why}", code="config.unwritable", hint="name another place"
        ) from None


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a configuration file."""
    properties = {
        name: {"description": _sentence(setting), **setting.schema, "examples": [_json(setting)]}
        for name, setting in SETTINGS.items()
    }
    guide = {
        setting.guide.lower(): {
            "description": f"The guide's name of {name}{', as a fraction' * bool(setting.read_guide)}.",
            **(
                {"type": "number", "minimum": 0, "maximum": 0.1}
                if setting.read_guide
                else setting.schema
            ),
        }
        for name, setting in SETTINGS.items()
        if setting.guide.lower() not in {"", name}
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of triarb",
        "type": "object",
        "properties": properties | guide,
        "additionalProperties": False,
    }


def _entry(name: str, setting: Setting) -> str:
    guide = f" The guide calls it {setting.guide}." if setting.guide else ""
    return f"# {_sentence(setting)}{guide}\n# {name} = {setting.example}\n"


def _sentence(setting: Setting) -> str:
    return f"{setting.about[:1].upper()}{setting.about[1:]}."


def _json(setting: Setting) -> Any:
    return tomllib.loads(f"example = {setting.example}")["example"]

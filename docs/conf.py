"""The docs site: MyST pages, the docstrings of the public modules, the furo theme. Built without a network."""

import re
from importlib.metadata import version as version_of
from typing import Any

project = "triarb"
author = copyright = "The triarb developers"  # noqa: A001 - Sphinx's name for it
release = version = version_of("triarb")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"triarb {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
myst_heading_anchors = 3
default_role = "code"  # a docstring's `word` is a name

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # where attrs fields are told of
python_use_unqualified_type_names = True

nitpicky = True
nitpick_ignore_regex = [
    # Without a network there is no inventory of other projects to look names up in.
    ("py:.*", r"(?!triarb\b).*"),
]

_DRAWING = re.compile(
    r"(?m)^(\S.*)(?<!::)\n\n(?=    \S)"
)  # what is indented below a line that is not


def _keep_drawings(
    _app: Any, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """A module's docstring may draw with indented lines: show them as they stand."""
    if what == "module":
        lines[:] = _DRAWING.sub(r"\1\n\n::\n\n", "\n".join(lines)).split("\n")


def _protocols_take_nothing(
    _app: Any, what: str, _name: str, obj: Any, _options: Any, signature: str, returns: str
) -> tuple[str, str]:
    """A protocol is not made, only kept to: the arguments that Python gives it mean nothing."""
    return ("" if what == "class" and getattr(obj, "_is_protocol", False) else signature, returns)


def setup(app: Any) -> None:
    """Hook into the reading of docstrings and signatures."""
    app.connect("autodoc-process-docstring", _keep_drawings, priority=1)
    app.connect("autodoc-process-signature", _protocols_take_nothing)

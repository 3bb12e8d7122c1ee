"""Kernels compiled: the same plain functions over flat arrays, at the machine's speed where numba is there."""

import functools
import hashlib
import importlib.util
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from triarb.exceptions import UsageError


def is_installed() -> bool:
    """Whether numba is there (``pip install triarb[fast]``)."""
    return importlib.util.find_spec("numba") is not None


def choose(compiled: bool | None) -> bool:  # noqa: FBT001 - passes a plug-in's own argument on
    """Whether to compile: as asked; where nothing is asked, if numba is there.

    Raises:
        UsageError: asked for, and numba is not there.
    """
    if compiled and not is_installed():
        raise UsageError(
            "compiled kernels need numba, which is not installed",
            hint='pip install "triarb[fast]", or leave compiled=None',
        )
    return is_installed() if compiled is None else compiled


_OF_PARTS: dict[str, Any] = {"_nrt": False, "error_model": "numpy"}
"""Without counting references to arrays at every call of a part, which would take longer than most parts do."""


@functools.cache
def compile_kernel(function: Callable[..., Any], *parts: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled, without the interpreter's lock, and kept on disk for the next process.

    The first call with arguments of new types compiles, or reads what is kept: call it once before it matters.

    Args:
        function: a plain function of numbers and flat arrays.
        parts: the plain functions that it calls, and those that they call. With parts, none of them may make an array
            or a list, nor divide by zero.
    """
    import numba  # noqa: PLC0415 - an extra, and slow to import

    for part in parts:
        numba.extending.register_jitable(**_OF_PARTS)(part)
    options: dict[str, Any] = {"cache": True, "nogil": True}
    if parts:
        function = _named_for_its_room(function)
        options |= _OF_PARTS
    kernel: Callable[..., Any] = numba.njit(**options)(function)
    return kernel


def _named_for_its_room(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` under a name with a digest of all files of its folder.

    What is kept on disk is found by name, and checked against the function's own file alone; parts are in others.
    """
    files = sorted(Path(function.__code__.co_filename).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    named = types.FunctionType(function.__code__, function.__globals__, function.__name__)
    named.__qualname__ = f"{function.__name__}_{digest}"
    named.__module__ = function.__module__
    return named

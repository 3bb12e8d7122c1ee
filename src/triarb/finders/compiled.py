"""Kernels compiled: the same plain functions over flat arrays, at the machine's speed where numba is there."""

import functools
import importlib.util
from collections.abc import Callable
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


@functools.cache
def compile_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled, without the interpreter's lock, and kept on disk for the next process.

    The first call with arguments of new types compiles, or reads what is kept: call it once before it matters.
    """
    import numba  # noqa: PLC0415 - an extra, and slow to import

    kernel: Callable[..., Any] = numba.njit(cache=True, nogil=True)(function)
    return kernel

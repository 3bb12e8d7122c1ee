"""Kernels compiled: the same plain functions over flat arrays, at the machine's speed where numba is there.

A kernel makes its work space by `floats`, `integers` and `flags`: lists where it runs as Python, which are the fastest
there, and arrays where it is compiled.
"""

import functools
import hashlib
import importlib.util
import types
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from triarb.exceptions import UsageError


def is_installed() -> bool:
    """Whether numba is there (``pip install triarb[fast]``)."""
    return importlib.util.find_spec("numba") is not None


def choose(compiled: bool | None) -> bool:  # noqa: FBT001 - passes a plug-in's own argument on
    """Whether to compile: as asked; where nothing is asked, if numba is there.

    Raises:
        UsageError: asked for, and numba is not there.
    """
    if compiled is None:
        return is_installed()
    if compiled and not is_installed():
        raise UsageError(
            "compiled kernels need numba, which is not installed",
            hint='pip install "triarb[fast]", or leave compiled=None',
        )
    return compiled


def floats(count: int) -> list[float]:
    """So many zeros."""
    return [0.0] * count


def integers(count: int) -> list[int]:
    """So many zeros."""
    return [0] * count


def flags(count: int) -> list[bool]:
    """So many times False."""
    return [False] * count


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
    _teach_work_space()
    import numba  # noqa: PLC0415 - an extra, and slow to import

    options: dict[str, Any] = {"nogil": True}
    for part in parts:
        numba.extending.register_jitable(**_OF_PARTS)(part)
    if parts:
        function = _named_for_its_room(function)
        options |= _OF_PARTS
    compiled: Callable[..., Any]
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written that would keep it
        compiled = numba.njit(**options)(function)
    return compiled


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


class Machine(NamedTuple):
    """What runs kernels: Python, or the compiled code.

    Attributes:
        kernel: what runs in the place of a kernel.
        numbers: a list of integers as kernels are given it.
        array: an array as kernels are given it, not copied.
    """

    kernel: Callable[[Callable[..., Any]], Callable[..., Any]]
    numbers: Callable[[list[int]], Sequence[int]]
    array: Callable[["array[float] | array[int]"], Any]


@functools.cache
def machine(*, compiled: bool) -> Machine:
    """What runs kernels, compiled or not."""
    if not compiled:
        return Machine(_as_it_is, _as_it_is, _as_it_is)
    import numpy as np  # noqa: PLC0415 - not for those who run kernels as Python

    return Machine(compile_kernel, functools.partial(np.array, dtype=np.uint32), np.asarray)


def _as_it_is(value: Any) -> Any:
    return value


@functools.cache
def _teach_work_space() -> None:
    import numpy as np  # noqa: PLC0415 - not for those who run kernels as Python
    from numba.extending import overload  # noqa: PLC0415 - as above

    def zeros(dtype: type) -> Callable[..., Any]:
        return lambda count: lambda count: np.zeros(count, dtype)  # noqa: ARG005 - numba's form

    for function, dtype in ((floats, np.float64), (integers, np.uint32), (flags, np.bool_)):
        overload(function)(zeros(dtype))

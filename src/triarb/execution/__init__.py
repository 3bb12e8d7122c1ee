"""Execution: a plan carried out, every order intended before it is sent and proven after."""

from triarb.execution.executor import (
    ExecutionContext as ExecutionContext,
    Executor as Executor,
    ParallelExecutor as ParallelExecutor,
    Selective as Selective,
    SequentialExecutor as SequentialExecutor,
)
from triarb.execution.recovery import Recovery as Recovery, recover as recover
from triarb.execution.unwinding import Unwinding as Unwinding

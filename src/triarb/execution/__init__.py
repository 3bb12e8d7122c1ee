"""Execution: a plan carried out, every order intended before it is sent and proven after."""

from triarb.execution.executor import (
    ExecutionContext as ExecutionContext,
    Executor as Executor,
    SequentialExecutor as SequentialExecutor,
)

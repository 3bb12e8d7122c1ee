"""The engine: five injected parts, observers, a loop."""

from triarb.engine.engine import Engine as Engine
from triarb.engine.observers import Observer as Observer
from triarb.engine.sweeping import Sweep as Sweep

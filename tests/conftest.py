"""What every test stands on: no float may become money, and nothing of the user's own is read or written."""

import decimal
import os

import pytest
from hypothesis import settings

from triarb.operations.arming import UNATTENDED
from triarb.operations.settings import GUIDE

decimal.DefaultContext.traps[decimal.FloatOperation] = True
decimal.getcontext().traps[decimal.FloatOperation] = True

settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in [name for name in os.environ if name.startswith("TRIARB_") or name in GUIDE]:
        monkeypatch.delenv(name)
    for name in UNATTENDED:  # a test that is about them says so itself; pytest minds its own
        if not name.startswith("PYTEST"):
            monkeypatch.delenv(name, raising=False)

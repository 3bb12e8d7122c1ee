"""Transcripts: what a session said to an exchange and heard from it, sanitized, and where the loopback exchange differs.

A `Recorder` notes every request of ccxt's and its answer, at the wire, in a file of JSON lines without keys, signatures or
what tells whose account it is::

    with Recorder(Path("binance.jsonl"), exchange="binance", source="sandbox", credentials=mine) as recorder:
        async with CcxtGateway("binance", credentials=mine, session_factory=recorder.session) as gateway:
            ...

`replay` sends what a file recorded to a loopback exchange that is set up from the answers in that very file, and compares
the answers by their shape::

    for difference in (await replay(read("binance.jsonl"))).differences:
        print(difference)

So does ``python -m triarb.testing.transcripts FILE``. REST is recorded, web sockets are not; the loopback exchange speaks
Binance's protocol only, so that only Binance's transcripts can be replayed.
"""

from triarb.testing.transcripts.comparing import Difference as Difference
from triarb.testing.transcripts.recording import Recorder as Recorder
from triarb.testing.transcripts.replaying import Replayed as Replayed, replay as replay
from triarb.testing.transcripts.transcript import (
    Answer as Answer,
    Exchanged as Exchanged,
    Request as Request,
    Transcript as Transcript,
    read as read,
)

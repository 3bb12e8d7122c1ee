"""``python -m triarb.testing.transcripts FILE ...``: where the loopback exchange differs from what was recorded."""

import asyncio
import sys

from triarb.testing.transcripts import read, replay
from triarb.testing.transcripts.replaying import lines


def main(paths: list[str]) -> int:
    """Print the differences of each file; 1 where there are any."""
    unlike = 0
    for path in paths:
        replayed = asyncio.run(replay(read(path)))
        unlike += len(replayed.differences)
        print(*lines(replayed), sep="\n")  # noqa: T201
    return 1 if unlike else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

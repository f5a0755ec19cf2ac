"""Whether this worker hears notifications, which it asks now and then; when to listen anew.

What a session listens to may be another channel than the one that is used by now: a schema that was
dropped and made anew has another. Or nobody sends it what it listens to: a pooler stands between.
Any notification proves that it hears. After a minute without one it sends all workers a word that
means nothing, so that one of them speaks for all. Who does not hear two in a row is deaf.
"""

from __future__ import annotations

import random
import time

from pgqueue.db.retry_delay import RetryDelay
from pgqueue.worker.timings import TIMINGS, EarTimings

__all__ = ["Ears"]


class Ears:
    """What is known of one session; moments are monotonic seconds."""

    def __init__(self, now: float | None = None, timings: EarTimings = TIMINGS.ears) -> None:
        self._timings = timings
        self.deaf = False
        self._retry = RetryDelay(1.0, timings.every)
        self._again_at = 0.0
        self._unheard = 0
        self.heard(time.monotonic() if now is None else now)

    def heard(self, now: float) -> None:
        """Note a notification, whatever it said."""
        self.deaf = False
        self._retry.reset()
        self._unheard = 0
        self.word_at = now + self._timings.every * random.uniform(1.0, 1.5)

    def wants_word(self, now: float) -> bool:
        """True if a word is to be sent with the next statement: it is unheard until it is heard."""
        if now < self.word_at:
            return False
        self._unheard += 1
        self.word_at = now + self._timings.bound
        return True

    def judge(self, *, listens: bool, spoken: bool | None, now: float) -> bool:
        """Take what the server said; True if it is time to listen anew, in a new session.

        ``spoken``: whether the word was sent that was wanted; None if none was. Once deaf, it
        counts as deaf until it has heard something.
        """
        if spoken is False:
            self._unheard -= 1
        if listens and self._unheard <= self._timings.unheard:
            return False
        self.deaf = True
        if now < self._again_at:
            return False
        self._again_at = now + self._retry.delay()
        self._unheard = 0
        self.word_at = now
        return True

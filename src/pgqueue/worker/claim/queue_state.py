"""What a claimer knows of one queue, and what it does next there. Time is handed in.

| it is         | event                               | then                                     |
|---------------|-------------------------------------|------------------------------------------|
| quiet         | a notification                      | one claim, ``Seat.delay`` later          |
|               | a call                              | one claim, some ms later                 |
|               | some found, 8 notifications closely | streaming: the flag goes down (watch)    |
|               | as many found as there was room for | full: claim again at once, call others,  |
|               |                                     | or 5 ms later if they are few            |
|               | fewer found, the flag is not up     | raise it, and look 9 times within 0.5 s  |
|               | another worker took the flag down   | 0.5 s later: one claim, raise it         |
| streaming     | 1 to 16 ms have passed              | one claim                                |
|               | under 8 in 50 ms, or not light      | quiet: the flag goes up                  |
|               | as many as there was room for       | full: the flag goes up, call others      |
|               | a notification, in spite of it all  | the flag goes down again                 |
|               | another kind needs the flag         | quiet, for a minute                      |
|               | another worker took the flag down   | quiet, as above                          |
| full          | fewer than there was room for       | look back; if none, quiet                |
|               | full for 0.2 s                      | the flag goes down                       |
|               | others have held it for a second    | quiet                                    |

So whoever takes a flag down and dies leaves jobs unannounced for half a second.
"""

from __future__ import annotations

from enum import IntEnum

from pgqueue.worker.claim.calling import Calling
from pgqueue.worker.claim.contention import Contention
from pgqueue.worker.claim.stream import Stream
from pgqueue.worker.seat import Seat

__all__ = ["Heat", "QueueState"]

_LATE_NOTIFICATION = 0.02
_STAND_BY = 0.5
_SHARED_SECONDS = 60.0


class Heat(IntEnum):
    """Whether to claim. Once: whatever comes later will be told."""

    COLD = 0
    ONCE = 1
    HOT = 2


class QueueState:
    """What the claimer knows of one queue."""

    __slots__ = (
        "calling",
        "contention",
        "flag",
        "full_since",
        "hot",
        "looks",
        "lowered_at",
        "name",
        "owed",
        "own_lowerings",
        "owns",
        "shared_until",
        "stand_by_until",
        "stream",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        # It may have work: look at it in the next claim.
        self.hot = Heat.HOT
        self.full_since: float | None = None
        self.flag: bool | None = None  # whether its waiting flag is up, as far as we know
        self.looks: list[float] = []  # moments of the looks that are still to come, latest first
        self.owed = False  # a look back that was put off
        self.owns = False  # we took the flag down, and raise it
        self.own_lowerings = 0  # notifications of that which are still to come
        self.lowered_at = float("-inf")
        self.stand_by_until = float("-inf")  # until then it is for somebody else to raise the flag
        self.shared_until = float("-inf")  # until then another kind of worker needs the flag
        self.stream = Stream()
        self.calling = Calling()
        self.contention = Contention()

    @property
    def streaming(self) -> bool:
        """True while we look every few ms, and nobody notifies."""
        return self.stream.on

    # -- reasons to look

    def look_at(self, moment: float) -> None:
        """Look at the queue then, unless it is looked at before."""
        if not self.looks or self.looks[-1] > moment:
            self.looks.append(moment)

    def look_if_due(self, now: float) -> None:
        """Make the looks whose moment has come."""
        while self.looks and self.looks[-1] <= now:
            self.looks.pop()
            self.hot = max(self.hot, Heat.ONCE)

    def on_notification(self, seat: Seat, now: float) -> None:
        """Somebody enqueued."""
        self.stream.on_notification(now)
        if self.streaming or (self.full_since is not None and self.flag is False):
            # We look anyhow. The flag is up, though we took it down: again, but not for what was
            # under way by then.
            if self.flag is False and now > self.lowered_at + _LATE_NOTIFICATION:
                self.flag = None
        elif seat.delay:
            self.look_at(now + seat.delay)
        else:
            self.hot = max(self.hot, Heat.ONCE)

    def on_call(self, reach: int, seat: Seat, now: float, rand: float) -> None:
        """A worker has more than it can take, and calls ``reach`` workers. ``rand``: 0 to 1."""
        if seat.rank is not None:
            self.on_notification(seat, now)
            return
        look = self.calling.heard(reach, seat, now, rand)
        if look is not None:
            self.look_at(look)

    # -- the flag

    def on_lowered(self, now: float) -> None:
        """Somebody took the flag down: we did, or we stand by."""
        if self.own_lowerings:
            self.own_lowerings -= 1
            return
        self.flag = False
        self.owns = False
        self.stream.end()
        if self.full_since is None:
            self._stand_by(now)

    def before_own_lowering(self, *, heard: bool) -> None:
        """We are going to take the flag down. ``heard``: and hear of it, before the answer."""
        self.own_lowerings += heard

    def on_own_lowering(self, done: bool | None, now: float) -> None:
        """Note whether the flag was taken down: False if it stays up, None if it was down."""
        self.lowered_at = now
        self.flag = done is False
        if not done:
            self.own_lowerings = max(self.own_lowerings - 1, 0)
        if done:
            self.owns = True
        elif done is False:
            self.shared_until = now + _SHARED_SECONDS
            self.stream.end()
        elif self.streaming and not self.owns:
            self.stream.end()
            self._stand_by(now)

    def leave(self) -> bool:
        """Leave the watch; return True if the flag is down, and was taken down here."""
        ours = self.owns and self.flag is False
        self.stream.end()
        self.owns = False
        self.own_lowerings = 0
        self.looks.clear()
        return ours

    def _stand_by(self, now: float) -> None:
        if self.stand_by_until not in self.looks:
            self.stand_by_until = now + _STAND_BY
            self.looks = [self.stand_by_until]

    # -- what a claim brought

    def found(
        self, count: int, *, full: bool, seat: Seat, began: float, now: float, light: bool = True
    ) -> None:
        """Note a claim that was not in anybody's way.

        ``full``: it took all that it might. ``light``: the next job should come here, too.
        """
        self.stream.note_claim(now - began)
        if count:
            self.contention.found(now)
        if full:
            self.hot = Heat.HOT
            if not light:
                self.stream.end()
            if self.full_since is None:
                self.full_since = now
            return
        self.full_since = None
        self.calling.end()
        if self.streaming:
            look = self.stream.go_on(count, now) if light else None
            if look is not None:
                self.looks = [look]
                return
            self.stream.end()
            self.owns = False
            if self.stand_by_until > now:
                self.look_at(self.stand_by_until)
        elif (
            count
            and light
            and self.stream.is_due
            and seat.rank is not None
            and now >= self.shared_until
        ):
            self.looks = [self.stream.begin(count, now)]

    def calls(self, count: int, seat: Seat, now: float) -> int:
        """Return how many workers are to be called after a claim of ``count`` jobs."""
        full_since = self.full_since
        return 0 if full_since is None else self.calling.due(count, seat, full_since, now)

    # -- others that claim

    def met(self, *, busy: bool, seat: Seat, now: float) -> None:
        """Note whether somebody else was claiming; look again soon if it is worth it."""
        if not busy:
            self.contention.free(now)
            return
        wanted = self.streaming or self.calling.is_wanted(now)
        look = self.contention.busy(now, wanted=wanted, on_watch=seat.rank is not None)
        if not self.contention.engaged:
            self.calling.end()
            self.full_since = None  # it was long ago, and others have emptied it since, maybe
        if look is not None:
            self.look_at(look)

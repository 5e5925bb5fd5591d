"""The best pairing of the frames at hand, by dynamic programming. No ROS."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter


class Solution:
    """Best pairing of the first i infrared and the first j visible frames, for every i and j.

    `table[i][j]` holds its value, pairs before skew, and its first pair as indices, if any. Ties go
    to the earlier pair.
    """

    def __init__(self, infrared: list[int], visible: list[int], max_skew: int) -> None:
        self.infrared, self.visible, self.max_skew = infrared, visible, max_skew
        self.pair_value = (max_skew + 1) * (min(len(infrared), len(visible)) + 1)
        columns = len(visible) + 1
        self.table: list[list[tuple[int, tuple[int, int] | None]]] = [[(0, None)] * columns]
        for i, stamp in enumerate(infrared):
            above = self.table[-1]
            # Only the columns within reach of this frame need work.
            start = bisect_left(visible, stamp - max_skew)
            stop = bisect_right(visible, stamp + max_skew)
            row = above[: start + 1]
            for j in range(start, stop):
                unpaired = max(above[j + 1], row[j], key=itemgetter(0))
                value, first = above[j]
                value += self.pair_value - abs(stamp - visible[j])
                row.append((value, first or (i, j)) if value > unpaired[0] else unpaired)
            row += [row[-1]] * (columns - len(row))
            self.table.append(row)

    def certain(self, infrared_from: int, visible_from: int) -> tuple[int, int] | None:
        """First pair, if no frames to come, with stamps from these on, can change it.

        The last row and column are the best pairings with the newest frames of one stream left
        over. To what the frames to come achieve by themselves, a frame left over adds a pair at
        best, no closer than their first stamp allows; that must be worth more than using it now.
        """
        first = self.best()
        column = [row[-1] for row in self.table]
        for stamps, cells, others_from in (
            (self.infrared, column, visible_from),
            (self.visible, self.table[-1], infrared_from),
        ):
            for stamp, (without, its_first), (value, _) in zip(
                stamps, cells[:-1], cells[1:], strict=True
            ):
                skew = max(0, others_from - stamp)
                worth_leaving = skew <= self.max_skew and value - without < self.pair_value - skew
                if its_first != first and worth_leaving:
                    return None
        return first

    def best(self, until: int | None = None) -> tuple[int, int] | None:
        """First pair of the best pairing; of the frames before `until`, if these have a pair."""
        first = None
        if until is not None:
            row = self.table[bisect_left(self.infrared, until)]
            first = row[bisect_left(self.visible, until)][1]
        return first or self.table[-1][-1][1]

# SPDX-License-Identifier: Apache-2.0
"""The farm's progress bar: views done, views per second, time left, objects and failures."""

import sys
from collections import Counter

from tqdm import tqdm


class FarmProgress:
    """Counts views of the objects under way; an object that fails or starts again takes its views back."""

    def __init__(self, objects: int, views_per_object: int, quiet: bool = False) -> None:
        self._views = views_per_object
        self._objects = objects
        self._under_way: Counter[str] = Counter()
        self._done = self._failed = 0
        # A log file wants few lines, a terminal a lively bar.
        interval = 0.2 if sys.stderr.isatty() else 10.0
        self._bar = tqdm(
            total=objects * views_per_object,
            unit="view",
            desc="render",
            disable=quiet,
            mininterval=interval,
            dynamic_ncols=True,
        )
        self._show()

    def view(self, name: str) -> None:
        """One view of an object was written."""
        self._under_way[name] += 1
        self._bar.update(1)

    def rendered(self, name: str) -> None:
        """An object is whole."""
        self._bar.update(self._views - self._under_way.pop(name, 0))
        self._done += 1
        self._show()

    def again(self, name: str, message: str) -> None:
        """An object will be tried again."""
        self._bar.update(-self._under_way.pop(name, 0))
        self.say(f"{name}: {message}; trying once more")

    def failed(self, name: str, message: str) -> None:
        """An object is given up."""
        self._bar.update(-self._under_way.pop(name, 0))
        self._bar.total -= self._views
        self._failed += 1
        self.say(f"{name}: failed, {message}")
        self._show()

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        tqdm.write(message, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _show(self) -> None:
        failed = f", {self._failed} failed" if self._failed else ""
        self._bar.set_postfix_str(f"{self._done}/{self._objects} objects{failed}", refresh=False)

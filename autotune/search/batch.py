"""A batch of configs to measure: new, different from each other, and legal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from search_spaces.config import Config

#: Tells the canonical config of the program that a config stands for, or None where none can be built.
Screen = Callable[[Config], Config | None]


def legal(config: Config) -> Config | None:
    """The screen of a space in which every config is legal."""
    return config


class ConfigBatch:
    """Up to `count` configs, none of them known before, each of which passed the screen."""

    def __init__(self, count: int, known: Iterable[Config], screen: Screen) -> None:
        self.chosen: list[Config] = []
        self._count = count
        self._known = set(known)
        self._screen = screen

    @property
    def full(self) -> bool:
        """Whether the batch has `count` configs."""
        return len(self.chosen) >= self._count

    def take(self, configs: Iterable[Config]) -> None:
        """Adds acceptable configs until the batch is full; a lazy iterable is read no further."""
        source = iter(configs)
        while not self.full and self.take_one(source):
            pass

    def take_one(self, configs: Iterator[Config], spread: int = 0) -> bool:
        """Adds the first config that is new and legal, and differs from each chosen one in at least `spread`
        decisions; whether there was one."""
        for config in configs:
            if config in self._known or any(_distance(config, other) < spread for other in self.chosen):
                continue
            self._known.add(config)
            canonical = self._screen(config)
            # Two configs may stand for the same program: then the canonical one may be known already.
            if canonical is None or (canonical != config and canonical in self._known):
                continue
            self._known.add(canonical)
            self.chosen.append(canonical)
            return True
        return False

    def unknown(self, configs: Iterable[Config]) -> list[Config]:
        """The configs that are neither known nor repeated, in the same order."""
        return [config for config in dict.fromkeys(configs) if config not in self._known]


def _distance(one: Config, other: Config) -> int:
    """The number of decisions that two configs answer differently, or that only one of them answers."""
    return len({name for name, _ in set(one.answers) ^ set(other.answers)})

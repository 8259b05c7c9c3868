"""What a run keeps of its judged films for the alarm, and what the alarm says of them in one sentence.

`RunFilms` sums positions (see `model.alarm_reference`): of all films, of each folder and of each station.
Memory is bounded: folders are told apart as deep as MOST_FOLDERS allow, whatever the order of the films. The
sums are exact, so a resumed run, shards and one undisturbed run say the same.

`judge` looks at all films, then at each folder and station of at least LEAST_FILMS films, at a rate of false
alarms that is divided by their number (Bonferroni), and names those that are strange.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from xray_infer.errors import one_line
from xray_infer.model.alarm_reference import FALSE_ALARMS, LEAST_FILMS, AlarmReference, FilmSum
from xray_infer.model.manifest_parts import LeftOutAccuracy
from xray_infer.run.results import OK, Row

MOST_FOLDERS: Final = 200
MOST_STATIONS: Final = 100
MOST_NAMED: Final = 3  # in the sentence; the record has all
LONGEST_NAME: Final = 80

FEW: Final = "too few films"
USUAL: Final = "like the training hospitals"
STRANGE: Final = "unlike the training hospitals"
UNKNOWN: Final = "not known"
FOLDER: Final = "folder"
STATION: Final = "station"

NO_REFERENCE: Final = "the model file cannot compare films with those of its training hospitals"


@dataclass(frozen=True, slots=True)
class Group:
    """Films of one `kind` (FOLDER, STATION) together; `limit` is the strangeness that they may have."""

    kind: str
    name: str
    films: int
    strangeness: float
    limit: float

    @property
    def is_strange(self) -> bool:
        """Whether it is unlike the training hospitals."""
        return self.strangeness > self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the alarm says of `films` judged films: `status` is FEW, USUAL, STRANGE or UNKNOWN.

    UNKNOWN: the model file has no reference. `strangeness` and `limit` are those of all films together, None
    where they were not compared. Where only some films are strange, `strange` are the folders and stations
    that are; it is empty where all are.
    """

    status: str
    films: int
    strangeness: float | None = None
    limit: float | None = None
    strange: tuple[Group, ...] = ()
    accuracy: LeftOutAccuracy | None = None

    @property
    def is_strange(self) -> bool:
        """Whether all or some of the films are unlike the training hospitals'."""
        return self.status == STRANGE

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, for a person; empty where it is UNKNOWN."""
        if self.status == FEW:
            return (
                f"Too few films to compare with those that the model learned from: {self.films:,} were "
                f"judged, {LEAST_FILMS} are needed."
            )
        if self.status == USUAL:
            return (
                f"Nothing unusual was found: together, the {self.films:,} judged films are like those that "
                "the model learned from."
            )
        if self.status == STRANGE:
            return f"{self._who()} unlike those of the training hospitals; {_accuracy(self.accuracy)}."
        return ""

    def _who(self) -> str:
        if not self.strange:
            return "These films are"
        named = [
            f"of {one.kind} {one_line(one.name, longest=LONGEST_NAME)} ({one.films:,})"
            for one in self.strange[:MOST_NAMED]
        ]
        if len(self.strange) > MOST_NAMED:
            named.append(f"of {len(self.strange) - MOST_NAMED} more that the record names")
        return f"The films {' and '.join(filter(None, (', '.join(named[:-1]), named[-1])))} are"

    def to_json(self) -> dict[str, Any]:
        """Return it for the run's record."""
        if self.status == UNKNOWN:
            return {"status": self.status, "sentence": NO_REFERENCE}
        return {
            "status": self.status,
            "sentence": self.sentence,
            "judged_films": self.films,
            "strangeness": _rounded(self.strangeness),
            "limit": _rounded(self.limit),
            "strange": [
                {
                    "kind": one.kind,
                    "name": one.name,
                    "judged_films": one.films,
                    "strangeness": _rounded(one.strangeness),
                    "limit": _rounded(one.limit),
                }
                for one in self.strange
            ],
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _accuracy(found: LeftOutAccuracy | None) -> str:
    if found is None:
        return "how often this model is right on such films is not known"
    low, high = found.interval
    return (
        f"on hospitals left out in training this model was right on {100 * found.share:.0f} % "
        f"({100 * low:.0f} to {100 * high:.0f})"
    )


@dataclass(slots=True)
class RunFilms:
    """The judged films of a run so far, in bounded memory; see the module. For one thread at a time.

    `folders` are by path, of at most `depth` levels (None: of all).
    """

    whole: FilmSum = field(default_factory=FilmSum)
    folders: dict[str, FilmSum] = field(default_factory=dict)
    stations: dict[str, FilmSum] = field(default_factory=dict)
    depth: int | None = None

    def add(self, row: Row) -> None:
        """Add a film, if it was judged and its position is known."""
        if row.status != OK or not row.position:
            return
        self.whole.add(row.position)
        self._folder(_parent(row.path)).add(row.position)
        if row.station:
            self._station(row.station).add(row.position)

    def _folder(self, path: str) -> FilmSum:
        path = _cut(path, self.depth)
        if path not in self.folders:
            self.folders[path] = FilmSum()
            while len(self.folders) > MOST_FOLDERS:
                self._shallower(max(map(_levels, self.folders)) - 1)
        return self.folders[_cut(path, self.depth)]

    def _station(self, name: str) -> FilmSum:
        """Return a station's films; of too many stations the first by name are kept, in whatever order."""
        films = self.stations.setdefault(name, FilmSum())
        if len(self.stations) > MOST_STATIONS:
            del self.stations[max(self.stations)]
        return films

    def _shallower(self, depth: int) -> None:
        """Tell folders apart by so many levels only."""
        self.depth = depth
        before, self.folders = self.folders, {}
        for path, films in before.items():
            self.folders.setdefault(_cut(path, depth), FilmSum()).join(films)

    def join(self, state: Mapping[str, Any]) -> None:
        """Add what another's `state` returned."""
        if state["depth"] is not None and (self.depth is None or state["depth"] < self.depth):
            self._shallower(state["depth"])
        self.whole.join(FilmSum.from_json(state["whole"]))
        for path, films in state["folders"].items():
            self._folder(path).join(FilmSum.from_json(films))
        for name, films in state["stations"].items():
            self._station(name).join(FilmSum.from_json(films))

    def state(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return {
            "depth": self.depth,
            "whole": self.whole.to_json(),
            "folders": {path: films.to_json() for path, films in self.folders.items()},
            "stations": {name: films.to_json() for name, films in self.stations.items()},
        }


def judge(films: RunFilms, reference: AlarmReference | None) -> Verdict:
    """Say whether the films are unlike those of the training hospitals; `reference` is the model file's."""
    count = films.whole.count
    if reference is None:
        return Verdict(UNKNOWN, count)
    if count < LEAST_FILMS:
        return Verdict(FEW, count)
    strangeness, limit = float(reference.strangeness([films.whole])[0]), reference.limit()
    named = (
        *_strange_folders(_tree(films.folders), reference),
        *_strange_stations(_large(films.stations), reference),
    )
    if strangeness <= limit and not named:
        return Verdict(USUAL, count, strangeness, limit)
    if strangeness > limit and sum(one.films for one in named if one.kind == FOLDER) == count:
        named = ()
    return Verdict(STRANGE, count, strangeness, limit, named, reference.accuracy)


def _groups(kind: str, films: Mapping[str, FilmSum], reference: AlarmReference) -> Iterator[Group]:
    """Yield groups with a limit that all of them together exceed at the rate of false alarms."""
    limit = reference.limit(FALSE_ALARMS / max(len(films), 1))
    strangeness = reference.strangeness(list(films.values()))
    for (name, one), found in zip(films.items(), strangeness, strict=True):
        yield Group(kind, name, one.count, float(found), limit)


def _strange_stations(stations: Mapping[str, FilmSum], reference: AlarmReference) -> list[Group]:
    return [one for one in _groups(STATION, stations, reference) if one.is_strange]


def _large(films: Mapping[str, FilmSum]) -> dict[str, FilmSum]:
    return {name: one for name, one in sorted(films.items()) if one.count >= LEAST_FILMS}


def _tree(leaves: Mapping[str, FilmSum]) -> dict[str, FilmSum]:
    """Return the films of every folder that has enough, those in its folders with them; "" is all.

    Of folders with the very same films, the one that holds the others stands for all.
    """
    found: dict[str, FilmSum] = {}
    for path, films in sorted(leaves.items()):
        for level in range(_levels(path) + 1):
            found.setdefault(_cut(path, level), FilmSum()).join(films)
    return {
        path: films
        for path, films in _large(found).items()
        if not path or films.count < found[_parent(path)].count
    }


def _strange_folders(folders: Mapping[str, FilmSum], reference: AlarmReference) -> list[Group]:
    """Return the strange folders, each as low in the tree as explains it, none inside another."""
    inner = {path: films for path, films in folders.items() if path}
    groups = {one.name: one for one in _groups(FOLDER, inner, reference)}
    above = {path: _nearest_above(path, groups) for path in groups}

    def below(path: str) -> list[Group]:
        found = [below(one) for one in groups if above[one] == path]
        strange = [one for some in found for one in some]
        mine = groups.get(path)
        if mine is not None and mine.is_strange and all(found):
            return [mine]
        return strange or ([mine] if mine is not None and mine.is_strange else [])

    return below("")


def _nearest_above(path: str, groups: Mapping[str, Group]) -> str:
    """Return the innermost of the groups that a folder is in, "" for none."""
    path = _parent(path)
    while path and path not in groups:
        path = _parent(path)
    return path


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _levels(path: str) -> int:
    return path.count("/") + 1 if path else 0


def _cut(path: str, depth: int | None) -> str:
    return path if depth is None else "/".join(path.split("/")[:depth])

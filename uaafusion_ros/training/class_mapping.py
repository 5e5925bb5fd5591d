"""Maps the class ids of a data set to those of a model, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.config import FMB_CLASSES

#: Class lists of data sets as distributed, by id.
KNOWN_CLASSES: dict[str, tuple[str, ...]] = {
    "fmb": tuple(FMB_CLASSES),
    "msrs": (
        *("unlabelled", "car", "person", "bike", "curve", "car stop"),
        *("guardrail", "colour cone", "bump"),
    ),
}
#: Names that mean a class of the usual list in other words.
KNOWN_NAMES: dict[str, dict[str, str]] = {"msrs": {"bike": "bicycle"}}
#: The id that many data sets give to what is not labelled.
VOID = 255
CLASSES_FILE = "classes.json"


@dataclass(frozen=True)
class ClassMapping:
    """table: uint8 [256], model id of every data set id, 0 where there is none (ignored).

    known: number of ids that the data set's list names.
    unmapped: names of the data set that the model lacks.
    """

    table: np.ndarray
    known: int
    unmapped: tuple[str, ...]

    def apply(self, ids: np.ndarray) -> np.ndarray:
        """Return model ids uint8 [H,W] of data set ids uint8 [H,W]."""
        return self.table[ids]

    def strangers(self, ids: np.ndarray) -> list[int]:
        """Ids in `ids` that the data set's own list does not name, other than 255 (void)."""
        present = np.unique(ids)
        return [int(value) for value in present if self.known <= value < VOID]


def map_classes(
    theirs: Sequence[str], ours: Sequence[str], rename: Mapping[str, str] | None = None
) -> ClassMapping:
    """Match names regardless of case, `_` and `-`; id 0 is ignored in both lists.

    Raises:
        SettingsError: `rename` names a class that one of the lists lacks.
    """
    position = {_plain(name): index for index, name in enumerate(ours)}
    renamed = {_plain(old): _plain(new) for old, new in (rename or {}).items()}
    names = [_plain(name) for name in theirs]
    for old, new in renamed.items():
        if old not in names:
            raise SettingsError(f"rename: no class {old!r}; the data set has {', '.join(theirs)}")
        if new not in position:
            raise SettingsError(f"rename: no class {new!r}; the model has {', '.join(ours)}")
    table = np.zeros(256, np.uint8)
    unmapped = []
    for index, name in enumerate(names):
        found = position.get(renamed.get(name, name))
        if index == 0:
            continue
        if found is None:
            unmapped.append(theirs[index])
        else:
            table[index] = found
    return ClassMapping(table, len(theirs), tuple(unmapped))


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Return the names in the `classes.json` of a data set or of the folder above a split.

    Empty where there is none.

    Raises:
        SettingsError: a classes.json that cannot be understood.
    """
    for path in (folder / CLASSES_FILE, folder.parent / CLASSES_FILE):
        if not path.is_file():
            continue
        try:
            entries = {
                int(e["id"]): str(e["name"]) for e in json.loads(path.read_text())["classes"]
            }
            return tuple(entries[number] for number in range(len(entries)))
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"{path} is no class list ({error!r}); expected "
                '{"classes": [{"id": 0, "name": "unlabelled"}, …]} with all ids from 0 on'
            ) from error
    return ()


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", " ").replace("-", " ")

"""What somebody marked in images, in the JSON that most labelling tools write.

COCO's (Lin et al. 2014): `images` (id, file_name), `categories` (id, name) and `annotations`
(image_id, category_id and a shape in pixels of the image).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from uaafusion_ros.training.errors import DatasetError

Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Marked(Generic[Shape]):
    """labels: class ids that were looked for; shapes: file stem to what is in it, perhaps none."""

    labels: tuple[int, ...]
    shapes: dict[str, tuple[Shape, ...]]


def read_coco(
    path: str | Path,
    classes: Sequence[str],
    shape_of: Callable[[dict[str, Any], int], Shape],
    *,
    expected: str,
) -> Marked[Shape]:
    """Read a COCO file; categories that `classes` lack are left out.

    Args:
        shape_of: takes an annotation and its class id.
        expected: what an annotation holds, for the error's text.

    Raises:
        DatasetError: the file cannot be read, is no such JSON, or none of its categories is known.
    """
    with _content(path, expected) as content:
        names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        stems = {entry["id"]: Path(entry["file_name"]).stem for entry in content["images"]}
        shapes: dict[str, list[Shape]] = {stem: [] for stem in stems.values()}
        for entry in content["annotations"]:
            name = names[entry["category_id"]]
            if name in classes:
                shape = shape_of(entry, classes.index(name))
                shapes[stems[entry["image_id"]]].append(shape)
    labels = tuple(sorted(classes.index(name) for name in names.values() if name in classes))
    if not labels:
        raise DatasetError(
            f"{path}: marks {', '.join(names.values()) or 'nothing'}, of which the model knows "
            f"nothing; its classes are {', '.join(classes)}"
        )
    return Marked(labels, {stem: tuple(found) for stem, found in shapes.items()})


def category_names(path: str | Path) -> tuple[str, ...]:
    """Return a class list of a COCO file's own: nothing, and the names of its categories.

    Raises:
        DatasetError: the file cannot be read or is no such JSON.
    """
    with _content(path, "a shape") as content:
        return ("unlabelled", *(str(entry["name"]) for entry in content["categories"]))


def image_stems(path: str | Path) -> frozenset[str]:
    """Return the stems of the images that a COCO file lists.

    Raises:
        DatasetError: the file cannot be read or is no such JSON.
    """
    with _content(path, "a shape") as content:
        return frozenset(Path(entry["file_name"]).stem for entry in content["images"])


@contextmanager
def _content(path: str | Path, expected: str) -> Iterator[Any]:
    """What is wrong in the file or with what is taken from it in here becomes a DatasetError."""
    try:
        yield json.loads(Path(path).read_text())
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}; expected COCO's JSON") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: not COCO's JSON ({type(error).__name__}: {error}); expected images, "
            f"categories and annotations with image_id, category_id and {expected}"
        ) from error

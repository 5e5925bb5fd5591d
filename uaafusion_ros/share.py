"""Finds the files that travel with the package, however it was installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "uaafusion_ros"


def find_share(*parts: str) -> Path:
    """Return the path of a shipped file or folder: `find_share("config", "fusion.yaml")`.

    Looks in the source tree (editable and `--symlink-install` builds), then beside the installed
    package, then in the ament index, then under `sys.prefix`; the first place that has it wins, so
    that code and data come from the same installation whenever possible.

    Raises:
        FileNotFoundError: nothing there; lists every place looked at.
    """
    looked_at = []
    for root in share_folders():
        path = root.joinpath(*parts)
        if path.exists():
            return path
        looked_at.append(str(path))
    wanted = "/".join(parts) or "share folder"
    raise FileNotFoundError(
        f"{PACKAGE}: '{wanted}' is not part of this installation; looked at "
        f"{', '.join(looked_at)}. Reinstall the package (pip install . or colcon build)"
    )


def share_folders() -> Iterator[Path]:
    """Yield, without repeats, the folders in which `find_share` looks."""
    seen: set[Path] = set()
    for folder in _candidates():
        if folder not in seen:
            seen.add(folder)
            yield folder


def _candidates() -> Iterator[Path]:
    package = Path(__file__).resolve().parent
    if (package.parent / "package.xml").is_file():
        yield package.parent
    for prefix in package.parents:  # …/lib/python3.x/site-packages/uaafusion_ros belongs to …/share
        if (prefix / "share" / PACKAGE).is_dir():
            yield prefix / "share" / PACKAGE
            break
    indexed = _ament_share()
    if indexed is not None:
        yield indexed
    yield Path(sys.prefix) / "share" / PACKAGE


def _ament_share() -> Path | None:
    try:
        from ament_index_python.packages import get_package_share_directory
    except ImportError:
        return None
    try:
        return Path(get_package_share_directory(PACKAGE))
    except (LookupError, OSError):  # not in the index, or no AMENT_PREFIX_PATH at all
        return None

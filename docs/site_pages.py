"""Hook of mkdocs.yml: pages and files that stand outside docs/ belong to the site as well.

In the repository, documents link to each other and to other files by where they are, so that the
links work in an editor and on a forge. On the site README.md is the first page, `PAGES` are pages
too, and every other linked file is copied to `files/`. A link to nothing is a warning, and with
`mkdocs build --strict` an error.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples.md",
    "models/README.md": "models.md",
}
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_log = logging.getLogger("mkdocs.hooks.site_pages")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside docs/, and the other files that pages link to."""
    for source, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(REPOSITORY / source)))
    for page in list(files.documentation_pages()):
        for target in _targets(page):
            uri = _uri(target)
            if files.get_file_from_path(uri) is None and (REPOSITORY / target).is_file():
                path = str(REPOSITORY / target)
                files.append(File.generated(config, uri, abs_src_path=path))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Have the links of a page lead to where their targets are on the site."""
    source = _source(page.file)

    def rewritten(match: re.Match[str]) -> str:
        before, link, after = match.groups()
        target = _target(source, link)
        if target is None:
            return match[0]
        if not (REPOSITORY / target).is_file():
            _log.warning("%s links to %s, which does not exist", source, link)
            return match[0]
        fragment = link.partition("#")[2]
        here = PurePosixPath(page.file.src_uri).parent
        found = os.path.relpath(_uri(target), here) + (f"#{fragment}" if fragment else "")
        return f"{before}{found}{after}"

    return LINK.sub(rewritten, markdown)


def _source(file: File) -> str:
    """The path of a page in the repository."""
    return Path(str(file.abs_src_path)).resolve().relative_to(REPOSITORY).as_posix()


def _targets(page: File) -> set[str]:
    """Files of the repository that a page links to."""
    links = LINK.findall(Path(str(page.abs_src_path)).read_text(encoding="utf-8"))
    found = (_target(_source(page), link) for _, link, _ in links)
    return {target for target in found if target is not None}


def _target(source: str, link: str) -> str | None:
    """The path in the repository that a link of `source` means; None for others."""
    path = link.partition("#")[0]
    if not path or "://" in link or link.startswith("mailto:"):
        return None
    return os.path.normpath(PurePosixPath(source).parent / path)


def _uri(target: str) -> str:
    """Where a file of the repository is on the site."""
    if target in PAGES:
        return PAGES[target]
    return target[len("docs/") :] if target.startswith("docs/") else f"files/{target}"

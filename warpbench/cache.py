"""Results of ptxvm on disk: counting the same PTX at the same shape twice gives the same counts.

A key is made of everything that the result depends on: the PTX of every launch, its grid and block, the case, the
architecture, the rung's and the operation's text, and the sources of ptxvm and of the comparison. So nothing is ever
stale; old entries are only waste, and `make clean` takes them away.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from warpbench.catalogue import ROOT

# what a result is made by, beside ptxvm: texts of this package
_MAKERS = ("check.py", "compare.py", "counts.py", "patterns.py", "findings.toml", "backends/*.py")


@cache
def folder() -> Path:
    """`.cache/warpbench` of the repository, or of the user where the repository cannot be written."""
    if (ROOT / "pyproject.toml").exists() and os.access(ROOT, os.W_OK):
        return ROOT / ".cache" / "warpbench"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "warpbench"


@cache
def source_sha256() -> str:
    """Hash of the sources that decide what is counted and compared."""
    spec = importlib.util.find_spec("ptxvm")
    places = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    here = Path(__file__).parent
    files = [f for place in places for f in place.rglob("*.py")] + [
        f for pattern in _MAKERS for f in here.glob(pattern)
    ]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.parent.name}/{path.name}".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key(*parts: Any) -> str:
    """Hash of plain data."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(f"{source_sha256()}{text}".encode()).hexdigest()


def load(name: str) -> dict[str, Any] | None:
    """What was stored under a key; None if nothing was, or if the file is damaged."""
    try:
        found: object = json.loads(_path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def store(name: str, value: Mapping[str, Any]) -> None:
    """Keep a value under a key. Does nothing where the folder cannot be written: the cache is no result."""
    path = _path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", encoding="utf-8", delete=False) as part:
            part.write(json.dumps(value, sort_keys=True, allow_nan=False))
        Path(part.name).replace(path)  # another worker never sees half a file
    except OSError:
        return


def _path(name: str) -> Path:
    return folder() / "counts" / name[:2] / f"{name}.json"

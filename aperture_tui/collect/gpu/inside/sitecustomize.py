"""Imported by every Python that finds this folder on its PYTHONPATH: begins to listen, then lets the environment's own
sitecustomize have its turn. Nothing that goes wrong here may be seen by the program.
"""

from __future__ import annotations

import os
import sys


def _begin() -> None:
    try:
        import _aperture_gpu  # type: ignore[import-not-found]  # beside this file, once it is on the path

        _aperture_gpu.begin()
    except Exception as error:  # whatever it is, the program has to go on
        if os.environ.get("APERTURE_GPU_DEBUG"):
            sys.stderr.write("aperture: " + repr(error) + "\n")


def _chain() -> None:
    """What `import sitecustomize` would have found without this folder."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.dirname(os.path.abspath(__file__))
    others = [path for path in sys.path if os.path.abspath(path or os.curdir) != here]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_begin()
_chain()

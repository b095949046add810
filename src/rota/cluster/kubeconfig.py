"""Which server, and as whom: the environment's, or the kubeconfig and context that a person names.

Whoever names nothing gets the pod's service account, else `$KUBECONFIG`, else ~/.kube/config.
lightkube reads one file; a `$KUBECONFIG` of several is searched here as kubectl would.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightkube.config.kubeconfig import DEFAULT_KUBECONFIG, KubeConfig, SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from rota.cluster.door import ClusterError

BROKEN = (ConfigError, OSError, KeyError, ValueError, TypeError, AttributeError, YAMLError)
"""What a kubeconfig with anything wrong in it, or files that it names, may raise."""


def chosen(file: str = "", context: str = "") -> SingleConfig:
    """The server and the credentials.

    Args:
        file: a kubeconfig; empty for the environment's.
        context: one of its contexts; empty for its current one.

    Raises:
        ClusterError: there is none, or it cannot be read.
    """
    try:
        own = None if file or context else _of_pod()
        config = own or _of_files(file, context)
    except BROKEN as error:
        raise refused(error, file) from None
    return config if config.user else config._replace(user=User())


def refused(error: BaseException, file: str = "") -> ClusterError:
    """Why there is no way to the server, and what to do about it."""
    why = str(error)
    if isinstance(error, KeyError):
        why = f"`{error.args[0]}` is not there"
    elif isinstance(error, OSError) and error.strerror:
        other = error.filename if str(error.filename) != file else ""
        why = f"{other}: {error.strerror.lower()}" if other else error.strerror.lower()
    elif isinstance(error, MarkedYAMLError) and error.problem_mark:
        why = f"line {error.problem_mark.line + 1} is no YAML: {error.problem}"
    hint = "name a kubeconfig with $KUBECONFIG; in a pod, give it a service account"
    if file:
        hint = "look at it with `kubectl config view`, and its contexts with `… get-contexts`"
    return ClusterError(f"no way to the Kubernetes API: {why}", where=file, hint=hint)


def _of_pod() -> SingleConfig | None:
    """The service account of this pod; None where this is none."""
    try:
        return KubeConfig.from_service_account().get()
    except ConfigError:
        return None


def _of_files(file: str, context: str) -> SingleConfig:
    """The context of the first file that has it."""
    given = [file] if file else _listed(os.environ.get("KUBECONFIG", ""))
    contexts: list[str] = []
    for path, document in _documents(given or [DEFAULT_KUBECONFIG]):
        names = [str(each["name"]) for each in document.get("contexts") or ()]
        name = context or str(document.get("current-context") or "")
        if name in names:
            found = KubeConfig.from_dict(dict(document), fname=path).get(name)
            assert found is not None
            return found
        contexts += names
    known = f"; there is {', '.join(contexts)}" if contexts else ""
    what = f"there is no context '{context}'" if context else "it has no current context"
    raise ConfigError(what + known)


def _documents(files: list[str]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for name in files:
        path = Path(name).expanduser()
        if len(files) > 1 and not path.is_file():
            continue
        document = YAML(typ="safe", pure=True).load(path.read_bytes())
        if not isinstance(document, dict):
            raise ConfigError(f"{name} is no kubeconfig")
        yield path, document


def _listed(text: str) -> list[str]:
    return [part for part in text.split(os.pathsep) if part]

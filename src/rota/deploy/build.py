"""Makes `deploy/` for kustomize from the same objects: `python -m rota.deploy.build [FOLDER]`.

The files are kept in the repository, for those who have no `rota` at hand; a test says when they are
out of step, another that a real kustomize makes of them what `rota manifests` prints.
"""

from __future__ import annotations

from collections.abc import Iterator

from rota.deploy import manifests as made
from rota.deploy.daemonset import NAME, Thing, daemon_set
from rota.deploy.options import COMPONENTS, NAMESPACE, OPERATOR, OVERLAYS, STANDALONE, Options
from rota.deploy.text import one_yaml, to_yaml
from rota.generated import write

HEAD = "# Made by `python -m rota.deploy.build`: change src/rota/deploy, not this file.\n"

_API = "kustomize.config.k8s.io/v1"
_POD = "/spec/template/spec"
_AGENT = f"{_POD}/containers/0"
_TARGET = {"kind": "DaemonSet", "name": NAME}
_BASE = Options()
_BESIDE = Options(overlay=OPERATOR)


def files() -> dict[str, str]:
    """Path in the repository → text, of everything that is made."""
    found: dict[str, str] = {}
    for folder, texts in (("base", _base()), *_overlays(), *_components()):
        for name, text in texts.items():
            found[f"deploy/{folder}/{name}"] = HEAD + text
    return found


def _base() -> dict[str, str]:
    parts = {
        "serviceaccount.yaml": [made.account(_BASE)],
        "rbac.yaml": made.access(_BASE),
        "config.yaml": [made.config_map(_BASE)],
        "service.yaml": [made.service(_BASE)],
        "daemonset.yaml": [daemon_set(_BASE)],
    }
    texts = {name: to_yaml(things) for name, things in parts.items()}
    return {"kustomization.yaml": _kustomization({"resources": list(texts)}), **texts}


def _overlays() -> Iterator[tuple[str, dict[str, str]]]:
    yield (
        f"overlays/{STANDALONE}",
        {
            "kustomization.yaml": _overlay(STANDALONE, ["namespace.yaml"]),
            "namespace.yaml": one_yaml(made.namespace(_BASE)),
        },
    )
    yield (
        f"overlays/{OPERATOR}",
        {
            "kustomization.yaml": _overlay(
                OPERATOR,
                ["plugin-rbac.yaml"],
                {"patches": [{"target": _TARGET, "patch": _beside()}]},
            ),
            "plugin-rbac.yaml": to_yaml(_plugin_access()),
        },
    )


def _overlay(name: str, resources: list[str], more: Thing | None = None) -> str:
    body = {"namespace": NAMESPACE, "resources": ["../../base", *resources], **(more or {})}
    image = {"name": "rota", "newName": "rota", "newTag": _BASE.image.rpartition(":")[2]}
    return (
        f"# {OVERLAYS[name]}\n"
        "# Where it goes, and whence the image comes (no registry has one), is said here; components\n"
        "# are added as `components: [../../components/cdi]`.\n"
        + _kustomization({**body, "images": [image]})
    )


def _plugin_access() -> list[Thing]:
    """What an agent may besides where it runs beside NVIDIA's plugin."""
    alone = [(one["kind"], one["metadata"]["name"]) for one in made.access(_BASE)]
    return [
        one for one in made.access(_BESIDE) if (one["kind"], one["metadata"]["name"]) not in alone
    ]


def _beside() -> str:
    """A patch: more arguments for the agent, and the plugin folder only to be held."""
    agent = daemon_set(_BESIDE)["spec"]["template"]["spec"]["containers"][0]
    names = [mount["name"] for mount in agent["volumeMounts"]]
    at = f"{_AGENT}/volumeMounts/{names.index('device-plugins')}/readOnly"
    return _steps([*_additions(_BESIDE), {"op": "add", "path": at, "value": True}])


def _components() -> Iterator[tuple[str, dict[str, str]]]:
    for name, means in COMPONENTS.items():
        texts, body = _component(name)
        kustomization = {"apiVersion": f"{_API}alpha1", "kind": "Component", **body}
        yield (
            f"components/{name}",
            {
                "kustomization.yaml": f"# {means}\n{one_yaml(kustomization)}",
                **texts,
            },
        )


def _component(name: str) -> tuple[dict[str, str], Thing]:
    if name == "priority-quota":
        quota = made.priority_quota(_BASE)
        return {"quota.yaml": one_yaml(quota)}, {"resources": ["quota.yaml"]}
    added = _additions(Options(components=(name,)))
    return {}, {"patches": [{"target": _TARGET, "patch": _steps(added)}]}


def _additions(wanted: Options) -> list[Thing]:
    """What that adds to the base's DaemonSet, at the ends of its lists."""
    before, after = (_lists(options) for options in (_BASE, wanted))
    return [
        {"op": "add", "path": f"{path}/-", "value": item}
        for path, items in after.items()
        for item in items[len(before[path]) :]
    ]


def _lists(options: Options) -> dict[str, list[Thing]]:
    pod = daemon_set(options)["spec"]["template"]["spec"]
    agent = pod["containers"][0]
    return {
        f"{_AGENT}/args": agent["args"],
        f"{_AGENT}/volumeMounts": agent["volumeMounts"],
        f"{_POD}/volumes": pod["volumes"],
    }


def _steps(steps: list[Thing]) -> str:
    """A JSON patch as YAML."""
    body = one_yaml({"steps": steps}).removeprefix("steps:\n")
    return "".join(line.removeprefix("  ") for line in body.splitlines(keepends=True))


def _kustomization(body: Thing) -> str:
    return one_yaml({"apiVersion": f"{_API}beta1", "kind": "Kustomization", **body})


if __name__ == "__main__":
    write(files())

"""The agent of a node of a Kubernetes cluster.

Everything a plain agent does, and besides: its config may be a ConfigMap of the cluster, pods'
annotations are wishes, a pod that is being deleted has its gates opened at once, and what people
must know stands in Events and labels. An API server that is away takes none of it back: the node
works on from what is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from rota.agent.citizen import Citizen, Tempo, Terms
from rota.agent.config import ConfigRefused, Served
from rota.agent.doors import Hardware
from rota.agent.last_good import LastGood
from rota.agent.logs import Logger
from rota.agent.node import NodeAgent
from rota.agent.observer import Observer
from rota.agent.settings import Settings
from rota.cluster.chosen import Chosen, NoConfig
from rota.cluster.connect import connect
from rota.cluster.door import Api, ClusterError
from rota.cluster.features import Facts, labels
from rota.cluster.machine import read_machine
from rota.cluster.reasons import CONFIG_REFUSED, CONFIG_SERVED
from rota.config.findings import Finding, Level, Mark
from rota.config.load import ConfigError, Loaded, load_text
from rota.gpu.health import Change

if TYPE_CHECKING:
    from rota.agent.offenders import End
    from rota.agent.order import Wish

EVICT_AGAIN = 10.0
"""Seconds until a pod that could not be evicted is tried again: a budget may allow it then."""

LONGEST_END = 600
"""Seconds that an evicted pod is taken to be ending, at most."""

PATIENCE = 5.0
"""Seconds that a start waits for the API server before the last good config is served."""

_LAST_GOOD = "last good"
_ALONE = "The last good config stays"
_BESIDE = (
    "The last good config stays, and NVIDIA's plugin is not restarted; one that restarts by itself "
    "reads this one"
)


class ClusterAgent(NodeAgent):
    """One agent of one node of a cluster."""

    def __init__(
        self,
        settings: Settings,
        log: Logger,
        terms: Terms,
        *,
        api: Api | None = None,
        tempo: Tempo | None = None,
    ) -> None:
        """Nothing is opened yet; `api` is what the environment names unless it is given."""
        super().__init__(settings, log)
        self._terms = terms
        self._given = api
        self._tempo = tempo
        self._citizen: Citizen | None = None
        self._observer: Observer | None = None
        self._read_last: Chosen | None = None
        self._was_refused = ""

    @property
    def citizen(self) -> Citizen:
        """What it is in the cluster; from the start of `run` on."""
        assert self._citizen is not None
        return self._citizen

    def snapshot(self) -> Mapping[str, Any]:
        """As an agent's, with what the cluster has to do with it."""
        found = dict(super().snapshot())
        citizen, chosen = self._citizen, self._read_last
        found["cluster"] = {
            "config_map": citizen.source if citizen else "",
            "key": chosen.key if chosen else "",
            "pods": len(citizen.pods) if citizen else 0,
            "troubles": citizen.troubles.now if citizen else {},
            "beside": self._terms.beside is not None,
        }
        found["unmanaged"] = self._observer.unmanaged if self._observer else []
        if self._terms.beside:
            found["ready"] = self._generation > 0
        return found

    async def _prepare(self, stack: AsyncExitStack) -> None:
        """Follow the cluster from here on, to the end."""
        api = self._given or connect()
        self._citizen = citizen = Citizen(
            api, self._settings.node, self._terms, self._log, edited=self._edited,
            wishes_changed=self._wishes_changed, tempo=self._tempo,
        )  # fmt: skip
        stack.push_async_callback(citizen.close)
        self._settings.run_dir.mkdir(parents=True, exist_ok=True)
        tasks = [
            asyncio.create_task(self._keep(name, make), name=name)
            for name, make in citizen.tasks().items()
        ]
        stack.push_async_callback(_end, tasks)

    async def _first(self) -> Loaded | None:
        """The first config: the ConfigMap's, or the last good one, or the first good edit."""
        if self._terms.config_map is None:
            return await super()._first()
        await self.citizen.settled(PATIENCE)
        while not self._stop.is_set():
            self._reload.clear()
            loaded = self._first_try()
            if loaded is not None:
                return loaded
            await self._until_edited()
        return None

    async def _until_edited(self) -> None:
        waits = [asyncio.ensure_future(e.wait()) for e in (self._reload, self._stop)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _first_try(self) -> Loaded | None:
        try:
            return self._read()
        except ConfigRefused as error:
            if self.citizen.knows_config:
                self._refuse(error)
            loaded = self._last_good()
            if loaded is None:
                self._log.error("no config to serve yet; waiting for a good one")
            return loaded

    def _last_good(self) -> Loaded | None:
        last = LastGood.read(self._settings.run_dir, self.citizen.source)
        if last is None:
            return None
        chosen = Chosen(last.key, last.text, _LAST_GOOD)
        try:
            loaded = self._load(chosen)
        except ConfigRefused:
            return None
        self._log.warning("serving the last good config", source=last.source, key=last.key)
        self._read_last = chosen
        return loaded

    def _read(self) -> Loaded:
        if self._terms.config_map is None:
            return super()._read()
        if not self.citizen.knows_config:
            why = "the ConfigMap was not read yet"
            raise ConfigRefused(
                (Finding("no-config", Level.ERROR, Mark(self.citizen.source), why),)
            )
        try:
            chosen = self.citizen.config()
        except NoConfig as error:
            found = Finding("no-config", Level.ERROR, Mark(error.where), error.what, error.hint)
            raise ConfigRefused((found,)) from None
        loaded = self._load(chosen)
        self._read_last = chosen
        return loaded

    def _load(self, chosen: Chosen) -> Loaded:
        file = f"ConfigMap {self.citizen.source}[{chosen.key}]"
        flags: Any = {"cli": self._settings.cli_flags, "env": self._settings.environ}
        try:
            return load_text(chosen.text, file, **flags)
        except ConfigError as error:
            raise ConfigRefused(error.findings) from None

    async def _apply_first(self, loaded: Loaded) -> None:
        """A node whose first config does not fit it waits for one that does."""
        try:
            await self._apply(loaded)
        except ConfigRefused as error:
            if self._terms.config_map is None:
                raise
            self._refuse(error)
            await self._fall_back()

    async def _fall_back(self) -> None:
        last = self._last_good()
        if last is None:
            return
        try:
            await self._apply(last)
        except ConfigRefused as error:
            self._log.error("the last good config fits no more", reason=error.what)

    async def _try(self) -> None:
        """As an agent's; what is served already, or is not known yet, is not read again."""
        if self._terms.config_map:
            if not self.citizen.knows_config:
                return
            with suppress(NoConfig):
                if not self._refused_now and _same(self.citizen.config(), self._read_last):
                    return
        await super()._try()

    def _refuse(self, error: ConfigRefused) -> None:
        super()._refuse(error)
        self._was_refused = error.what
        errors = [str(one) for one in error.findings if one.level is Level.ERROR]
        what = f"{'; '.join(errors)}. {_BESIDE if self._terms.beside else _ALONE}"
        self.citizen.tell(self.citizen.node_ref, CONFIG_REFUSED, what)
        self.citizen.tell(self.citizen.config_ref, CONFIG_REFUSED, what)

    def _now_served(self, served: Served) -> None:
        """Say so, keep it, and label the node."""
        self._label(served)
        chosen = self._read_last
        if chosen and chosen.why == _LAST_GOOD:
            self._refused_now = self._was_refused  # what the cluster wants is still refused
            return
        if chosen:
            self._log.info("this node's config", key=chosen.key, chosen_by=chosen.why)
        new = self._keep_good(chosen) if chosen else self._generation > 1
        if new or self._was_refused:
            names = ", ".join(f"{r.name}: {len(r.replicas)}" for r in served.plan.resources)
            where = f"{self.citizen.source}[{chosen.key}]" if chosen else self._settings.config
            what = f"{where} is served: {names}"
            self.citizen.tell(self.citizen.node_ref, CONFIG_SERVED, what)
        self._was_refused = ""
        if new:
            self.citizen.checked()

    def _keep_good(self, chosen: Chosen) -> bool:
        """Keep it on disk; whether it is another one than before."""
        folder = self._settings.run_dir
        good = LastGood(self.citizen.source, chosen.key, chosen.text)
        before = LastGood.read(folder, good.source)
        if before == good:
            return False
        try:
            good.write(folder)
        except OSError as error:
            self._log.warning("the last good config is not kept", reason=str(error))
        return before is not None

    def _label(self, served: Served) -> None:
        keeper = self.citizen.labels
        if keeper is None or self._turns is None:
            return
        turns = not all(self._turns.reasons.values())
        text = self._read_last.text if self._read_last else ""
        machine = read_machine(self._inventory)
        facts = Facts(self._inventory, served.config, served.plan, machine, turns, text)
        keeper.want(labels(facts, own_only=self._terms.labels == "own"))

    def _wish(self, client: str) -> Wish:
        from rota.agent.order import Wish

        pod = self.citizen.pod_of(client)
        if pod is None:
            return Wish()
        wish = pod.wish
        return Wish(wish.weight, wish.priority, pod.ending, wish.memory, wish.pageable)

    def _ender(self) -> End | None:
        return self._evict

    async def _evict(self, client: str) -> None:
        """Evict the pod of the worst offender, and see it go; trying on where that may not be yet."""
        why = "it used most beyond its limit while the GPU was nearly full (rota.memory.evict)"
        try:
            await self.citizen.evict(client, why)
        except ClusterError:
            await asyncio.sleep(EVICT_AGAIN)
            raise
        for _ in range(LONGEST_END):
            if self.citizen.pod_of(client) is None:
                return
            await asyncio.sleep(1.0)

    async def _connect(self, stack: AsyncExitStack, hardware: Hardware) -> None:
        if not self._terms.beside:
            await super()._connect(stack, hardware)

    async def _serve(self, served: Served) -> None:
        if not self._terms.beside:
            await super()._serve(served)

    def _pass_on(self, change: Change) -> None:
        if not self._terms.beside:
            super()._pass_on(change)

    async def _until_stopped(self, hardware: Hardware) -> None:
        assert self._turns is not None
        self._observer = Observer(self._turns, self.citizen, self._log)
        watching = asyncio.create_task(self._keep("observer", self._observer.run))
        try:
            await super()._until_stopped(hardware)
        finally:
            await _end([watching])

    def _edited(self) -> None:
        self._reload.set()

    def _wishes_changed(self) -> None:
        if self._turns:
            self._turns.retell()


def _same(now: Chosen, before: Chosen | None) -> bool:
    return before is not None and (now.key, now.text) == (before.key, before.text)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

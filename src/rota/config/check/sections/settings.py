"""NVIDIA's flags, and the key `rota`."""

from rota.config.check.sections.section import Section
from rota.config.findings import Level

SECTIONS = (
    Section(
        "bad-flag-value",
        Level.ERROR,
        "A flag has a value that does not exist",
        """
        NVIDIA's plugin ends at it. Command line, environment and file are checked alike.
        """,
        """
        flags:
          migStrategy: all
        """,
        """
        flags:
          migStrategy: mixed
        """,
    ),
    Section(
        "bad-env-value",
        Level.ERROR,
        "An environment variable of a flag has a value that cannot be read",
        """
        The environment overrules the file, so the flag would have no value at all.
        """,
        "PASS_DEVICE_SPECS: maybe",
        "PASS_DEVICE_SPECS: 'true'",
    ),
    Section(
        "flag-overruled",
        Level.NOTE,
        "Something else overrules a flag of the file",
        """
        The order is command line, environment, file, default. The GPU operator sets several flags by
        environment.
        """,
        """
        flags:
          migStrategy: none      # while MIG_STRATEGY=mixed is in the environment
        """,
        "# remove it here, or the variable there",
    ),
    Section(
        "flag-not-acted-on",
        Level.NOTE,
        "A flag of NVIDIA's that Rota reads and does not need",
        """
        It is kept for NVIDIA's plugin.
        """,
        """
        flags:
          gdsEnabled: true
        """,
        "# nothing to do",
    ),
    Section(
        "no-device-list-strategy",
        Level.WARNING,
        "An empty list of device list strategies",
        """
        Without any, containers would not see their GPUs; the default `envvar` is used.
        """,
        """
        flags:
          plugin: {deviceListStrategy: []}
        """,
        """
        flags:
          plugin: {deviceListStrategy: [envvar]}
        """,
    ),
    Section(
        "bad-duration",
        Level.ERROR,
        "A duration that cannot be read",
        """
        A number and a unit: `500ms`, `60s`, `1m30s`.
        """,
        "sleepInterval: soon",
        "sleepInterval: 60s",
    ),
    Section(
        "bad-imex",
        Level.ERROR,
        "`imex.channelIDs` can only be empty or [0]",
        """
        NVIDIA's plugin refuses anything else.
        """,
        "imex: {channelIDs: [1]}",
        "imex: {channelIDs: [0]}",
    ),
    Section(
        "imex-not-acted-on",
        Level.NOTE,
        "Rota does not act on `imex`",
        """
        The block is read and kept for NVIDIA's plugin; Rota hands out no IMEX channels.
        """,
        "imex: {channelIDs: [0]}",
        "# nothing to do, or leave it out",
    ),
    Section(
        "bad-value",
        Level.ERROR,
        "A value under `rota` that cannot be",
        """
        Under `rota` everything is checked. Durations have units (`100ms`, `1m`), so have sizes (`4Gi`,
        `50%`).
        """,
        """
        rota:
          turns: {quantum: 100}
        """,
        """
        rota:
          turns: {quantum: 100ms}
        """,
    ),
    Section(
        "minimum-over-quantum",
        Level.ERROR,
        "The shortest turn is longer than the longest",
        """
        `minimum` is how long a turn is safe from a wake-up, and `quantum` is when it ends.
        """,
        """
        rota:
          turns: {quantum: 20ms, minimum: 50ms}
        """,
        """
        rota:
          turns: {quantum: 100ms, minimum: 5ms}
        """,
    ),
    Section(
        "oversubscribe-without-paging",
        Level.ERROR,
        "More memory is promised than there is, and nothing pages",
        """
        With `oversubscribe` above 1.0 the shares add up to more than the GPU has. That works only
        where idle clients are paged out.
        """,
        """
        rota:
          memory: {oversubscribe: 1.5}
        """,
        """
        rota:
          memory: {oversubscribe: 1.5}
          paging: {enabled: true}
        """,
    ),
    Section(
        "evict-without-report",
        Level.WARNING,
        "`evict` has nothing to do",
        """
        Where enforcement is hard nobody can pass its share, so nobody is ever evicted.
        """,
        """
        rota:
          memory: {evict: true}
        """,
        """
        rota:
          memory: {enforce: report, evict: true}
        """,
    ),
)

"""Keys of a config: unknown, misplaced, doubled; and values of the wrong type."""

from rota.config.check.sections.section import Section
from rota.config.findings import Level

SECTIONS = (
    Section(
        "unknown-key",
        Level.WARNING,
        "A key is not known",
        """
        NVIDIA's plugin ignores keys that it does not know, without a word: a typo in `sharing` means
        that nothing is shared. Under `rota`, an unknown key is an error.
        """,
        """
        sharing:
          timeSlicing:
            ressources: []
        """,
        """
        sharing:
          timeSlicing:
            resources:
            - name: nvidia.com/gpu
              replicas: 4
        """,
    ),
    Section(
        "misplaced-key",
        Level.WARNING,
        "A key stands where it is not read",
        """
        The key is right and its place is wrong, so it is ignored like an unknown one.
        """,
        """
        flags:
          renameByDefault: true
        """,
        """
        sharing:
          timeSlicing:
            renameByDefault: true
            resources:
            - name: nvidia.com/gpu
              replicas: 4
        """,
    ),
    Section(
        "key-case",
        Level.WARNING,
        "A key is written with other capitals",
        """
        At the top level NVIDIA's parser takes any case; inside a sharing block or a resource a key in
        another case is ignored.
        """,
        """
        sharing:
          timeslicing:
            resources: []
        """,
        """
        sharing:
          timeSlicing:
            resources:
            - name: nvidia.com/gpu
              replicas: 4
        """,
    ),
    Section(
        "double-key",
        Level.WARNING,
        "A key is given twice",
        """
        The last one counts and the others are dropped without a word.
        """,
        """
        - name: nvidia.com/gpu
          replicas: 4
          replicas: 8
        """,
        """
        - name: nvidia.com/gpu
          replicas: 8
        """,
    ),
    Section(
        "second-document",
        Level.WARNING,
        "A second document in a config",
        """
        Only the first document of a config is read.
        """,
        """
        version: v1
        ---
        sharing: {}
        """,
        """
        version: v1
        sharing: {}
        """,
    ),
    Section(
        "wrong-type",
        Level.ERROR,
        "A value has the wrong type",
        """
        NVIDIA's plugin refuses the config and ends. Numbers and booleans are written without quotes.
        """,
        'replicas: "4"',
        "replicas: 4",
    ),
    Section(
        "not-a-number",
        Level.ERROR,
        "Infinity and NaN are no numbers here",
        """
        The config becomes JSON on its way, and JSON has neither, so the whole text is refused.
        """,
        "replicas: .inf",
        "replicas: 4",
    ),
    Section(
        "unknown-version",
        Level.ERROR,
        "The version is not v1",
        """
        `v1` is the only version there is, as a word: the number 1 is refused too.
        """,
        "version: v2",
        "version: v1",
    ),
    Section(
        "no-version",
        Level.NOTE,
        "The config names no version",
        """
        That means v1. To write it down keeps the meaning when there is a v2.
        """,
        """
        sharing: {}
        """,
        """
        version: v1
        sharing: {}
        """,
    ),
)

"""YAML and JSON texts as trees in which every key and value knows where it stands.

The YAML is what NVIDIA's plugin reads (sigs.k8s.io/yaml, that is Go's yaml.v2): version 1.1, so
`yes` is a boolean, and a key that is given twice counts with its last value. Doubles are kept, so
that somebody can say so. Tags of other languages are ignored, never obeyed.
"""

from __future__ import annotations

from rota.config.compose import Composer, SyntaxProblem
from rota.config.findings import Mark
from rota.config.tree import Entry, Mapping, Node, Plain, Scalar, Sequence, find, text_of

__all__ = [
    "Entry",
    "Mapping",
    "Node",
    "Plain",
    "Scalar",
    "Sequence",
    "SyntaxProblem",
    "embedded_origin",
    "find",
    "read_documents",
    "read_first",
    "text_of",
]


def read_documents(text: str, file: str, origin: Mark | None = None) -> tuple[Node, ...]:
    """Parse every document of a YAML or JSON text.

    Args:
        text: the text.
        file: its name in messages.
        origin: where the text begins when it is part of a larger one (a key of a ConfigMap): its
            first character stands there, and further lines are indented as far.

    Returns:
        One tree a document; a document with nothing in it is a null scalar. An empty text has none.

    Raises:
        SyntaxProblem: it is no YAML, has anchors that refer to themselves, is nested more than
            100 levels deep, or grows beyond all measure by its aliases.
    """
    return tuple(Composer(text, file, origin).documents())


def read_first(text: str, file: str, origin: Mark | None = None) -> tuple[Node | None, Mark | None]:
    """Parse the first document only, as Go does: what follows it need not even be YAML.

    Returns:
        The tree, None for an empty text; and where a second document begins, None without one. A
        document with nothing in it, as a last `---` makes one, is no second one.

    Raises:
        SyntaxProblem: as `read_documents`, about the first document.
    """
    documents = Composer(text, file, origin).documents()
    first = next(documents, None)
    try:
        second = next((node for node in documents if not _is_nothing(node)), None)
    except SyntaxProblem as problem:
        if isinstance(first, Scalar) and first.value is not None:
            raise  # words and then more: a `:` is missing, and no second document begins
        return first, problem.mark
    return first, second.mark if second else None


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def embedded_origin(scalar: Scalar, indent: int | None = None) -> Mark | None:
    """Where the first character of a block literal's text stands in the file around it.

    Only a `|` literal keeps its lines; for any other scalar there is no such place. The indent of
    the literal's lines is read off the text (`scalar.body`); `indent` overrules it.
    """
    if not scalar.block:
        return None
    if indent is None:
        return scalar.body
    return Mark(scalar.mark.file, scalar.mark.line + 1, indent + 1)

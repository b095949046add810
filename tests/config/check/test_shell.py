"""Commands in scripts, and fenced blocks in pages."""

from __future__ import annotations

import pytest

from rota.config.check.shell import blocks, commands
from rota.config.findings import Mark

START = Mark("s", 1, 1)


def words(text: str) -> list[tuple[str, ...]]:
    return [command.words for command in commands(text, START)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kubectl get pods\n", [("kubectl", "get", "pods")]),
        ("$ kubectl get pods\n", [("kubectl", "get", "pods")]),
        ("kustomize build . | kubectl apply -f -", [("kustomize", "build", "."), ("kubectl", "apply", "-f", "-")]),
        ("kubectl get \\\n  pods", [("kubectl", "get", "pods")]),
        ("kubectl patch x -p '{\n\"a\": 1}'", [("kubectl", "patch", "x", "-p", '{\n"a": 1}')]),
        ("kubectl a && kubectl b; kubectl c", [("kubectl", "a"), ("kubectl", "b"), ("kubectl", "c")]),
        ("# kubectl delete everything", []),
        ("echo hello", []),
        ("kubectl delete cm 'never closed", []),
    ],
)  # fmt: skip
def test_words_of_commands(text: str, expected: list[tuple[str, ...]]) -> None:
    assert words(text) == expected


def test_a_quotation_that_is_never_closed_hides_no_later_command() -> None:
    assert words("kubectl a 'oops\nkubectl b\n") == [("kubectl", "b")]


def test_a_command_stands_where_its_first_word_does() -> None:
    found = list(commands("\n  $ kubectl get pods\n", Mark("s", 10, 4)))
    assert [command.mark for command in found] == [Mark("s", 11, 8)]


def test_a_here_document_goes_with_its_command() -> None:
    text = "cat <<EOF | kubectl apply -f -\nkind: Pod\nEOF\nkubectl get pods\n"
    found = list(commands(text, START))
    assert found[1].words == ("kubectl", "apply", "-f", "-")
    assert found[1].document == "kind: Pod\n"
    assert found[1].document_at == Mark("s", 2, 1)
    assert found[2].words == ("kubectl", "get", "pods")
    assert found[2].document == ""


def test_fenced_blocks_lose_the_indent_of_their_fence() -> None:
    page = "1. Do\n   ```bash\n   a\n     b\n   ```\n~~~yaml\nc: d\n~~~\n"
    found = [(block.language, block.text, block.origin) for block in blocks(page, "p")]
    assert found == [
        ("bash", "a\n  b\n", Mark("p", 3, 4)),
        ("yaml", "c: d\n", Mark("p", 7, 1)),
    ]


def test_a_block_that_is_never_closed_ends_with_the_page() -> None:
    assert [block.text for block in blocks("```\na\n", "p")] == ["a\n"]

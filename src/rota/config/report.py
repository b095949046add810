"""Collects what is said about one text, so that a person hears of every mistake at once."""

from __future__ import annotations

from collections.abc import Iterable

from rota.config.findings import Finding, Level, Mark


class Report:
    """The findings about one text, in the order of the text when they are asked for."""

    def __init__(self) -> None:
        self._findings: dict[Finding, None] = {}

    def error(self, rule: str, mark: Mark, message: str, hint: str = "") -> None:
        """Say what keeps the config from being served."""
        self.add((Finding(rule, Level.ERROR, mark, message, hint),))

    def warning(self, rule: str, mark: Mark, message: str, hint: str = "") -> None:
        """Say what is likely not meant so."""
        self.add((Finding(rule, Level.WARNING, mark, message, hint),))

    def note(self, rule: str, mark: Mark, message: str, hint: str = "") -> None:
        """Say what is good to know."""
        self.add((Finding(rule, Level.NOTE, mark, message, hint),))

    def add(self, findings: Iterable[Finding]) -> None:
        """Take findings of others; the same one twice (an anchor used twice) is said once."""
        self._findings.update(dict.fromkeys(findings))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them by place; those without a place in a text (from env) come last."""
        return tuple(sorted(self._findings, key=_place))

    @property
    def failed(self) -> bool:
        """There is an error among them."""
        return any(finding.level is Level.ERROR for finding in self._findings)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that somebody who wrote `word` most likely meant; None if none is near."""
    import difflib  # only for those who make mistakes

    by_lower = {choice.lower(): choice for choice in choices}
    plain = word.lower().replace("-", "").replace("_", "")[:100]
    close = difflib.get_close_matches(plain, by_lower, n=1, cutoff=0.65)
    return by_lower[close[0]] if close else None


def listed(words: Iterable[str]) -> str:
    """Words as a message names them: `a`, `b` or `c`."""
    quoted = [f"`{word}`" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A hint that names the nearest choice, or all of them."""
    choices = tuple(choices)
    near = nearest(word, choices)
    return f"did you mean `{near}`?" if near else f"write {listed(choices)}"


def _place(finding: Finding) -> tuple[bool, int, int]:
    return finding.mark.line == 0, finding.mark.line, finding.mark.column

"""The text of `warpbench check`: a line a rung, the findings of those that fail below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from warpbench import errors

WORDS = {"not executed": "compiled, not executed", "not judged": "not judged"}


def lines(answer: Mapping[str, Any]) -> list[str]:
    """One rung: verdict, path, cases; then the findings of the case that failed, and lints once each."""
    verdict, judged = answer["verdict"], answer.get("cases", [])
    count = f"{len(judged)} case{'s' if len(judged) != 1 else ''}"
    head = f"{WORDS.get(verdict, verdict)}  {answer['rung']}"
    if verdict == "pass":
        out = [f"{head}  {count}"]
    elif verdict == "fail" and judged and judged[-1]["findings"]:
        out = [f"{head}  at {judged[-1]['case']}" if judged[-1]["case"] else head]
        out += findings(judged[-1]["findings"])
    else:
        return [f"{head}: {answer['reason']}"]
    lints = {f["message"]: f for one in judged[: None if verdict == "pass" else -1] for f in one["findings"]}
    return out + findings([f for f in lints.values() if f["level"] == "lint"])


def findings(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Findings as indented text, the cause first: faults, then failures, then lints."""
    order = {"fault": 0, "fail": 1, "lint": 2}
    out = []
    kinds = {f["kind"] for f in found}
    for finding in sorted(found, key=lambda f: (order[f["level"]], f["kind"] == "values")):
        code = finding.get("code") or ("note" if finding["level"] == "lint" else "")
        # a race or a fault is the cause; wrong values below it are its consequence
        because = "so: " if finding["kind"] == "values" and kinds - {"values"} else ""
        text = str(finding["message"]).splitlines() or [""]
        out.append(
            f"    {code}  {because}{text[0]}".replace("      ", "    ")
            if not code
            else f"    {code}  {because}{text[0]}"
        )
        out += [f"        {line.strip()}" for line in text[1:]]
    return out


def tally(answers: Sequence[Mapping[str, Any]], refused: Sequence[str]) -> str:
    """`75 pass, 1 fails, 2 not run`"""
    counts: dict[str, int] = {}
    for answer in answers:
        word = WORDS.get(answer["verdict"], answer["verdict"])
        counts[word] = counts.get(word, 0) + 1
    if refused:
        counts["refused by the card"] = len(refused)
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing was checked"


def exit_code(verdicts: Sequence[str], refused: int) -> int:
    """0 right, 1 wrong, 3 something of the environment is missing, 5 nothing could be run."""
    if "fail" in verdicts:
        return errors.WRONG
    if "not run" in verdicts or "not judged" in verdicts:
        return errors.ENVIRONMENT
    if "pass" not in verdicts and (refused or verdicts):
        return errors.NOT_RUN
    return errors.OK


def report(answers: Sequence[Mapping[str, Any]], refused: Sequence[str], where: str) -> list[str]:
    """The whole text: each rung, each refusal, the tally."""
    out = [line for answer in answers for line in lines(answer)]
    out += list(refused)
    return [*out, f"{where}: {tally(answers, refused)}"]

"""The parent's side of the course: one checkout's exercises and progress, and warm workers that check answers."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from warpbench import cache, errors, hardware
from warpbench import catalogue as operations
from warpbench.course import catalogue, progress, targets
from warpbench.course.catalogue import Exercise
from warpbench.course.findings import finding
from warpbench.notes import GPU
from warpbench.pool import Pool

BACKENDS = ("auto", "ptxvm", "gpu", "compile")
LIMIT_S = 20.0  # that one case of an answer may take; a kernel of the course takes milliseconds
MEMORY_BYTES = 4 << 30
Verdict = dict[str, Any]


class Course:
    """The course in a folder of exercises. Its progress lies beside it, in `.learn/`.

    limit_s   seconds that one case of an answer may take
    workers   warm workers by target, to share them with another course; they are left open

    with Course() as course:
        verdict = course.attempt(course.exercises[0])
    """

    def __init__(
        self, root: Path | None = None, limit_s: float = LIMIT_S, workers: dict[str, Pool] | None = None
    ) -> None:
        self.root = (root or catalogue.default_root()).resolve()
        self.exercises = catalogue.load(self.root)
        if not self.exercises:
            raise errors.UsageError(
                f"{self.root / 'catalog.toml'} lists no exercise. There is nothing to learn from it."
            )
        self.state = self.root.parent / ".learn"
        self.targets = targets.load(self.root)
        self.limit_s = limit_s
        self.workers: dict[str, Pool] = {} if workers is None else workers
        self._shared = workers is not None

    def __enter__(self) -> Course:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, unless they are another course's."""
        if not self._shared:
            self._end()

    def _end(self) -> None:
        for pool in self.workers.values():
            pool.close()
        self.workers.clear()

    # -- choosing ------------------------------------------------------------------------------------------------
    def progress(self) -> progress.Progress:
        """What has been passed, read anew: another command may have written it."""
        return progress.load(self.state)

    def pick(self, name: str | None) -> Exercise:
        """An exercise by its id; None: the first that is not done, or the last one."""
        if name:
            return catalogue.find(self.exercises, name)
        return next((e for e in self.exercises if e not in self.done()), self.exercises[-1])

    def after(self, exercise: Exercise) -> Exercise | None:
        """The first exercise behind this one, in a circle, that is not done; None if all are."""
        at, done = self.exercises.index(exercise), self.done()
        following = self.exercises[at + 1 :] + self.exercises[:at]
        return next((e for e in following if e not in done), None)

    def done(self) -> list[Exercise]:
        """Exercises that are passed at silver, and those of parts whose milestone is."""
        mine = self.progress()
        tested_out = {e.part for e in self.exercises if e.milestone and mine.passed(e.id)}
        return [e for e in self.exercises if e.part in tested_out or mine.passed(e.id)]

    # -- checking ------------------------------------------------------------------------------------------------
    def attempt(self, exercise: Exercise, seed: int = 1, backend: str = "auto") -> Verdict:
        """Check what the learner wrote, and count it.

        seed      of the first inputs that are drawn
        backend   "ptxvm"; "gpu": the values on the card, nothing else; "auto": ptxvm, then the card if there is one;
                  "compile": only whether it compiles. What is passed by "gpu" or "compile" alone is not counted.
        """
        whole = backend in ("auto", "ptxvm")
        verdict = self.check(exercise, seed=seed) if whole else self._part(exercise, seed, backend)
        if backend == "auto" and verdict["level"]:
            verdict = self._on_card_too(exercise, seed, verdict)
        mine = self.progress()
        mine.current = exercise.id
        if whole and verdict["verdict"] != "not executed":
            verdict["new"] = mine.record(exercise.id, verdict["level"])
            row, codes = mine.row(exercise.id), list(dict.fromkeys(one["code"] for one in verdict["findings"]))
            row["finding"] = codes[0] if codes else ""
            row["failed"] = sorted({*row.get("failed", ()), *codes})
            verdict["prediction"] = _predicted(exercise, row, verdict)
            if verdict["new"]:
                progress.journal(self.state, _entry(exercise, row, verdict))
        mine.save()
        return {**verdict, "notice": mine.notice}

    def _part(self, exercise: Exercise, seed: int, backend: str) -> Verdict:
        """The verdict of a card alone, or of the compilers alone."""
        task = self._task(exercise, None, True, seed)
        if backend == "gpu":
            found = self._ask(exercise, card_target(), task)
            level = "bronze" if found["level"] else None  # counters are no matter of a card
            return {**found, "level": level, "arch": [], "partial": "right on your card"}
        verdicts = [self._ask(exercise, f"emulated:{arch}", {**task, "execute": False}) for arch in exercise.arch]
        worst = next((one for one in verdicts if one["findings"]), verdicts[0])
        return {**worst, "arch": list(exercise.arch), "partial": "compiled for all its architectures"}

    def _on_card_too(self, exercise: Exercise, seed: int, verdict: Verdict) -> Verdict:
        """The verdict with that of the card, where there is one: wrong there is wrong."""
        try:
            card = card_target()
        except errors.WarpbenchError:
            return verdict
        there = self._ask(exercise, card, self._task(exercise, None, True, seed))
        if not there["findings"]:
            return {**verdict, "card": card}
        for one in there["findings"]:
            one["evidence"].append("on your card; ptxvm found nothing wrong")
        return {**verdict, "level": None, "verdict": "fail", "findings": there["findings"], "card": card}

    def predict(self, exercise: Exercise, value: float) -> None:
        """Note what the learner expects, once. Raises UsageError where nothing is asked or the answer is known."""
        mine = self.progress()
        row = mine.row(exercise.id)
        if not exercise.predict:
            raise errors.UsageError(f"{exercise.id} asks for no prediction. Nothing was noted.")
        if "counted" in row:
            raise errors.UsageError(f"the answer is known: it was {row['counted']:g}. Nothing was noted.")
        row["predicted"] = value
        mine.save()

    def check_again(self) -> Iterator[tuple[Exercise, str, Verdict]]:
        """Every exercise that is passed, once more: with the level that it had, and what it reaches now is kept."""
        mine = self.progress()
        for exercise in self.exercises:
            had = next((level for level in reversed(progress.LEVELS) if mine.passed(exercise.id, level)), None)
            if had is None:
                continue
            verdict = self.check(exercise)
            if verdict["verdict"] != "not executed" and mine.lower(exercise.id, verdict["level"]):
                mine.save()
            yield exercise, had, verdict

    def check(self, exercise: Exercise, folder: Path | None = None, marks: bool = True, seed: int = 1) -> Verdict:
        """Check an exercise's files on all its architectures: executed for the first one, compiled for the others.

        folder   where the files lie; None: where the learner edits them
        marks    whether the text around the marks must be as shipped
        seed     of the first inputs that are drawn
        Returns `check.Answer` as a dict. Raises EnvironmentProblem where nothing could be judged.
        """
        return self._check(exercise, folder, marks, self.table(exercise), seed)

    def check_texts(self, exercise: Exercise, texts: Mapping[str, str], held: bool = True) -> Verdict:
        """Check texts as an answer, in a folder of their own. `held` False: to the author's limits, not to targets."""
        with self._written(texts) as folder:
            return self._check(exercise, folder, False, self.table(exercise) if held else {})

    def table(self, exercise: Exercise) -> targets.Table:
        """What the solution reaches and an answer may: as recorded, or traced here where the compilers are others.

        Empty for an exercise without a record: the author's limits hold.
        """
        row = self.targets.get(exercise.id, {})
        here = list(targets.compilers(exercise.dsl))
        if not row or row["compilers"] == here:
            return row
        key = cache.key("targets", exercise.id, targets.sources(exercise), here)
        found = cache.load(key)
        if found is None:
            found = dict(self.trace(exercise)[0])
            cache.store(key, found)
        return found

    def trace(self, exercise: Exercise) -> tuple[targets.Table, Verdict]:
        """The table of an exercise, from a run of its solution that is held to the author's limits; and the verdict."""
        solution = {name: exercise.cut(name).solution for name in exercise.files}
        verdict = self.check_texts(exercise, solution, held=False)
        return targets.table(exercise, verdict["figures"]), verdict

    def _check(
        self, exercise: Exercise, folder: Path | None, marks: bool, table: targets.Table, seed: int = 1
    ) -> Verdict:
        task = self._task(exercise, folder, marks, seed)
        first, *others = exercise.arch
        verdict = self._ask(exercise, f"emulated:{first}", {**task, "goals": targets.of(table, first)})
        for arch in others:
            if verdict["verdict"] != "pass":
                break
            other = self._ask(
                exercise, f"emulated:{arch}", {**task, "goals": targets.of(table, arch), "execute": False}
            )
            verdict["figures"] += other["figures"]
            if other["findings"]:
                verdict.update(level="bronze", verdict="fail", findings=other["findings"])
        return {**verdict, "arch": list(exercise.arch)}

    def _task(self, exercise: Exercise, folder: Path | None, marks: bool, seed: int) -> dict[str, Any]:
        return {
            "task": "learn", "rung": exercise.id, "root": str(self.root), "marks": marks,
            "folder": str(folder) if folder else None, "limit_s": self.limit_s, "seed": seed,
        }  # fmt: skip

    def picture(self, exercise: Exercise, folder: Path | None = None) -> Verdict:
        """What the learner's kernel touches (`picture.perform`). Raises EnvironmentProblem where that is not known."""
        task = {
            "task": "picture", "rung": exercise.id, "root": str(self.root), "folder": str(folder) if folder else None,
            "limit_s": self.limit_s, "marks": False,
        }  # fmt: skip
        taken = self._ask(exercise, f"emulated:{exercise.arch[0]}", task)
        return {"launches": [], "case": "", "reason": "", **taken}

    def compare(self, exercise: Exercise) -> list[dict[str, Any]]:
        """The learner's answer, the solution, and the best rung of each DSL, counted (`rivals.row`)."""
        from warpbench.course import rivals

        target, task = f"emulated:{exercise.arch[0]}", {"task": "dissect", "rung": exercise.id, "root": str(self.root)}
        rows = [rivals.row("yours", self._ask(exercise, target, task))]
        with self._written({name: exercise.cut(name).solution for name in exercise.files}) as folder:
            rows.append(rivals.row("solution", self._ask(exercise, target, {**task, "folder": str(folder)})))
        operation = operations.operations()[exercise.operation]
        for rung in rivals.best(operation).values():
            wanted = {"task": "inspect", "execute": True, "ptx": False, "sass": False, "cc": hardware.gpu(GPU).cc}
            found = self._ask(exercise, target, {**wanted, "rung": operation.rung_path(rung)})
            rows.append(rivals.row(f"{rung.dsl}/{rung.name}", found))
        return rows

    @contextlib.contextmanager
    def _written(self, texts: Mapping[str, str]) -> Iterator[Path]:
        """A folder of its own that holds these files."""
        with tempfile.TemporaryDirectory(prefix="warpbench-answer-") as folder:
            for name, text in texts.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
            yield Path(folder)

    def _ask(self, exercise: Exercise, target: str, task: dict[str, Any]) -> Verdict:
        """The answer of a worker for a target of `warpbench.targets`.

        A worker that was stopped or died says something about the answer that it ran.
        """
        pool = self.workers.get(target)
        if pool is None:
            pool = self.workers[target] = Pool(target, 1, self.limit_s, MEMORY_BYTES)
        try:
            [(_, answer)] = list(pool.run([task]))
        except BaseException:
            self._end()  # a pool that was interrupted is of no use any more
            raise
        if "exercise" in answer or "kernels" in answer:
            return answer
        arch = target.rpartition(":")[2]
        if answer["cases"]:
            return _failed(exercise, arch, "E3", [f["message"] for f in answer["cases"][0]["findings"]])
        if answer.get("died_at"):
            died = f"it ended the process that checks it ({answer['how']}), at {answer['died_at']}"
            return _failed(exercise, arch, "E2", [died, "a kernel on ptxvm cannot do that; the Python around it can"])
        raise errors.EnvironmentProblem(f"{exercise.id} was not checked: {answer['reason']}")


def on(exercise: Exercise, archs: str | None) -> Exercise:
    """An exercise for other architectures ("sm_86,sm_120"). Raises UsageError for one that is not known."""
    if archs is None:
        return exercise
    known = [f"sm_{cc.replace('.', '')}" for cc in hardware.limits()]
    wanted = tuple(archs.split(","))
    for one in wanted:
        if one not in known:
            raise errors.unknown("architecture", one, known, "Nothing was checked")
    return replace(exercise, arch=wanted)


@functools.cache
def card_target() -> str:
    """The target of the first card that can be used. Raises CapabilityMissing or EnvironmentProblem for none."""
    found = hardware.detect()
    if found.usable:
        return f"card:{found.usable[0].uuid}"
    kind = errors.EnvironmentProblem if found.broken else errors.CapabilityMissing
    raise kind(f"no card: {found.reason.rstrip('.')}. Nothing was run on one. Bronze and silver need none.")


def _predicted(exercise: Exercise, row: dict[str, Any], verdict: Verdict) -> dict[str, float] | None:
    """What was predicted and what was counted, the first time that it is; None without a prediction, or later."""
    counted = [one["value"] for one in verdict["figures"] if one["check"] == exercise.predict_of]
    if "predicted" not in row or "counted" in row or not counted or counted[0] is None:
        return None
    row["counted"] = float(f"{counted[0]:.4g}")
    return {"predicted": row["predicted"], "counted": row["counted"]}


def _entry(exercise: Exercise, row: Mapping[str, Any], verdict: Verdict) -> list[str]:
    """What the journal says of a pass: the day, what went wrong before, the figures, the prediction."""
    level = verdict["level"]
    lines = [f"## {row[level]} {exercise.id}: {level}", f"{row['attempts']} attempts, {row.get('hints', 0)} hints."]
    if row["failed"]:
        lines.append(f"On the way: {', '.join(row['failed'])}.")
    lines += [f"- {one['check']}: {one['value']:.4g}" for one in verdict["figures"] if one["value"] is not None]
    if "counted" in row:
        lines.append(f"Predicted {row['predicted']:g}, counted {row['counted']:g}.")
    return [*lines, f"> {exercise.proved}"] if level == "silver" else lines


def _failed(exercise: Exercise, arch: str, code: str, evidence: Sequence[str]) -> Verdict:
    """The verdict for an answer that gave none itself."""
    found = finding(code, exercise, exercise.files[0], evidence)
    return {
        "exercise": exercise.id, "arch": arch, "level": None, "verdict": "fail", "reason": "", "cases": 0,
        "findings": [found], "told": [], "figures": [], "printed": [],
    }  # fmt: skip


def exit_code(verdict: Verdict, level: str = "silver") -> int:
    """0: passed at the level asked; 1: not; 5: ptxvm cannot judge it."""
    if verdict["verdict"] == "not executed":
        return errors.NOT_RUN
    if "partial" in verdict:
        return errors.WRONG if verdict["findings"] else errors.OK
    reached = progress.LEVELS[: progress.LEVELS.index(verdict["level"]) + 1] if verdict["level"] else ()
    return errors.OK if level in reached else errors.WRONG

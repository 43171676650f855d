"""The parent's side of the course: one checkout's exercises and progress, and warm workers that check answers."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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

LIMIT_S = 20.0  # that one case of an answer may take; a kernel of the course takes milliseconds
MEMORY_BYTES = 4 << 30
Verdict = dict[str, Any]


class Course:
    """The course in a folder of exercises. Its progress lies beside it, in `.learn/`.

    limit_s   seconds that one case of an answer may take
    workers   warm workers by architecture, to share them with another course; they are left open

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
        """An exercise by its id; None: the first that is not passed at silver, or the last one."""
        if name:
            return catalogue.find(self.exercises, name)
        mine = self.progress()
        return next((e for e in self.exercises if not mine.passed(e.id)), self.exercises[-1])

    def after(self, exercise: Exercise) -> Exercise | None:
        """The first exercise behind this one, in a circle, that is not passed; None if all are."""
        mine = self.progress()
        at = self.exercises.index(exercise)
        following = self.exercises[at + 1 :] + self.exercises[:at]
        return next((e for e in following if not mine.passed(e.id)), None)

    # -- checking ------------------------------------------------------------------------------------------------
    def attempt(self, exercise: Exercise) -> Verdict:
        """Check what the learner wrote, and count it."""
        verdict = self.check(exercise)
        mine = self.progress()
        mine.current = exercise.id
        if verdict["verdict"] != "not executed":
            verdict["new"] = mine.record(exercise.id, verdict["level"])
            mine.row(exercise.id)["finding"] = verdict["findings"][0]["code"] if verdict["findings"] else ""
        mine.save()
        return {**verdict, "notice": mine.notice}

    def check(self, exercise: Exercise, folder: Path | None = None, marks: bool = True) -> Verdict:
        """Check an exercise's files on all its architectures: executed for the first one, compiled for the others.

        folder   where the files lie; None: where the learner edits them
        marks    whether the text around the marks must be as shipped
        Returns `check.Answer` as a dict. Raises EnvironmentProblem where nothing could be judged.
        """
        return self._check(exercise, folder, marks, self.table(exercise))

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

    def _check(self, exercise: Exercise, folder: Path | None, marks: bool, table: targets.Table) -> Verdict:
        task = {
            "task": "learn", "rung": exercise.id, "root": str(self.root), "marks": marks,
            "folder": str(folder) if folder else None, "limit_s": self.limit_s,
        }  # fmt: skip
        first, *others = exercise.arch
        verdict = self._ask(exercise, first, {**task, "goals": targets.of(table, first)})
        for arch in others:
            if verdict["verdict"] != "pass":
                break
            other = self._ask(exercise, arch, {**task, "goals": targets.of(table, arch), "execute": False})
            verdict["figures"] += other["figures"]
            if other["findings"]:
                verdict.update(level="bronze", verdict="fail", findings=other["findings"])
        return {**verdict, "arch": list(exercise.arch)}

    def picture(self, exercise: Exercise, folder: Path | None = None) -> Verdict:
        """What the learner's kernel touches (`picture.perform`). Raises EnvironmentProblem where that is not known."""
        task = {
            "task": "picture", "rung": exercise.id, "root": str(self.root), "folder": str(folder) if folder else None,
            "limit_s": self.limit_s, "marks": False,
        }  # fmt: skip
        taken = self._ask(exercise, exercise.arch[0], task)
        return {"launches": [], "case": "", "reason": "", **taken}

    def compare(self, exercise: Exercise) -> list[dict[str, Any]]:
        """The learner's answer, the solution, and the best rung of each DSL, counted (`rivals.row`)."""
        from warpbench.course import rivals

        arch, task = exercise.arch[0], {"task": "dissect", "rung": exercise.id, "root": str(self.root)}
        rows = [rivals.row("yours", self._ask(exercise, arch, task))]
        with self._written({name: exercise.cut(name).solution for name in exercise.files}) as folder:
            rows.append(rivals.row("solution", self._ask(exercise, arch, {**task, "folder": str(folder)})))
        operation = operations.operations()[exercise.operation]
        for rung in rivals.best(operation).values():
            wanted = {"task": "inspect", "execute": True, "ptx": False, "sass": False, "cc": hardware.gpu(GPU).cc}
            found = self._ask(exercise, arch, {**wanted, "rung": operation.rung_path(rung)})
            rows.append(rivals.row(f"{rung.dsl}/{rung.name}", found))
        return rows

    @contextlib.contextmanager
    def _written(self, texts: Mapping[str, str]) -> Iterator[Path]:
        """A folder of its own that holds these files."""
        with tempfile.TemporaryDirectory(prefix="warpbench-answer-") as folder:
            for name, text in texts.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
            yield Path(folder)

    def _ask(self, exercise: Exercise, arch: str, task: dict[str, Any]) -> Verdict:
        """One worker's answer. A worker that was stopped or died says something about the answer that it ran."""
        pool = self.workers.get(arch)
        if pool is None:
            pool = self.workers[arch] = Pool(f"emulated:{arch}", 1, self.limit_s, MEMORY_BYTES)
        try:
            [(_, answer)] = list(pool.run([task]))
        except BaseException:
            self._end()  # a pool that was interrupted is of no use any more
            raise
        if "exercise" in answer or "kernels" in answer:
            return answer
        if answer["cases"]:
            return _failed(exercise, arch, "E3", [f["message"] for f in answer["cases"][0]["findings"]])
        if answer.get("died_at"):
            died = f"it ended the process that checks it ({answer['how']}), at {answer['died_at']}"
            return _failed(exercise, arch, "E2", [died, "a kernel on ptxvm cannot do that; the Python around it can"])
        raise errors.EnvironmentProblem(f"{exercise.id} was not checked: {answer['reason']}")


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
    reached = progress.LEVELS[: progress.LEVELS.index(verdict["level"]) + 1] if verdict["level"] else ()
    return errors.OK if level in reached else errors.WRONG

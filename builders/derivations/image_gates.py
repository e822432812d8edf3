"""Holds an image against its gates: `budget`, `forbid` and `lint`.

It fails, and with it what needs the image's plan, where one of them is not kept. The output says
what was looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from builders.accounts.account import Account, account_of
from builders.accounts.opening import open_image
from builders.console.errors import UserError, warn, writing
from builders.derivations import arguments
from builders.gates.base_paths import store_paths_of_base
from builders.gates.image_files import open_image_files
from builders.gates.limits import Breach, forbidden, forbidden_among, over_budget, parse_size
from builders.gates.lint import MADE_BY_ENGINES, lint
from builders.image.plan import Plan, plan_from_json

_MOST: Final = 50
"""Lines of a kind that are printed."""


@dataclass(frozen=True)
class Arguments:
    """What image_gates takes.

    `plan` is the plan of the image. `budget_size` is a size as people write it, `budget_layers` a
    number; `forbid_paths` are store paths and `forbid_names` names. `lint` is "warning", "error" or
    None. `made_in_containers` are store paths that containers make themselves, and `copied` those
    whose files were copied into the image.
    """

    plan: str
    budget_size: str | int | None
    budget_layers: int | None
    forbid_paths: list[str]
    forbid_names: list[str]
    lint: str | None
    made_in_containers: list[str]
    copied: list[str]
    store_dir: str


def main(_: list[str]) -> None:
    """Check the image, and write the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    with open(given.plan, encoding="utf-8") as file:
        plan = plan_from_json(file.read())
    account = account_of(open_image(given.plan))
    failures = [
        *_limits(given, account),
        *_of_base(given, plan, account, directory=build.top),
    ]
    _report(failures)
    if given.lint:
        _look_for_faults(given, plan, account, directory=build.top)
    with writing(build.out), open(build.out, "w", encoding="utf-8") as file:
        file.write(f"{account.image.name}: {account.size} bytes in {len(account.layers)} layers\n")


def _limits(given: Arguments, account: Account) -> list[Breach]:
    size = given.budget_size
    most = parse_size(size) if isinstance(size, str) else size
    return [
        *over_budget(account, most_bytes=most, most_layers=given.budget_layers),
        *forbidden(account, paths=given.forbid_paths, names=given.forbid_names),
        *forbidden_among(
            given.copied,
            paths=given.forbid_paths,
            names=given.forbid_names,
            where="copied into the image",
        ),
    ]


def _of_base(given: Arguments, plan: Plan, account: Account, *, directory: str) -> list[Breach]:
    """Return what of the base image is forbidden, and not known from the graph."""
    if not (given.forbid_paths or given.forbid_names):
        return []
    return store_paths_of_base(
        plan.layers,
        directory=directory,
        paths=given.forbid_paths,
        names=given.forbid_names,
        known=account.paths,
    )


def _report(failures: Sequence[Breach]) -> None:
    if not failures:
        return
    for failure in failures[:_MOST]:
        print("\n  ".join((failure.what, *failure.lines)), flush=True)
    more = f" (and {len(failures) - 1} more, above)" if len(failures) > 1 else ""
    raise UserError(
        f"{failures[0].what}{more}",
        hint="leave out what brings it in, or change budget or forbid; "
        "'longshore explain' shows what the image's attribute unchecked has",
    )


def _look_for_faults(given: Arguments, plan: Plan, account: Account, *, directory: str) -> None:
    made = [*MADE_BY_ENGINES, *given.made_in_containers]
    if not account.paths:
        # includeStorePaths = false: containers mount a store.
        made.append(given.store_dir)
    with open_image_files(plan.layers, directory=directory, what="fromImage", given=made) as files:
        found: list[Any] = list(
            lint(
                files,
                plan.config or {},
                architecture=plan.platform.architecture,
                roots=account.image.roots,
            )
        )
    for problem in found[:_MOST]:
        if given.lint == "error":
            print(problem, flush=True)
        else:
            warn(problem)
    if len(found) > _MOST:
        print(f"and {len(found) - _MOST} more", flush=True)
    if found and given.lint == "error":
        more = f" (and {len(found) - 1} more, above)" if len(found) > 1 else ""
        raise UserError(
            f"{found[0]}{more}", hint="add what is missing, or set lint = true to be warned only"
        )

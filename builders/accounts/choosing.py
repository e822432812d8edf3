"""Which store paths somebody means: by path, by name, or by package."""

from collections.abc import Sequence

from builders.accounts.account import Account
from builders.console.errors import die


def chosen_paths(account: Account, wanted: str) -> Sequence[str]:
    """Return the paths that `wanted` names.

    That is a store path, or a file in one; the name of one, with or without its hash; or a package,
    in any version. Raises `UserError` where there is none, with the names that are nearest to it.
    """
    for path in account.paths:
        if wanted == path or wanted.startswith(f"{path}/") or wanted == path.rpartition("/")[2]:
            return (path,)
    by_name = [path for path, found in account.paths.items() if found.name == wanted]
    by_package = [path for path, found in account.paths.items() if found.package == wanted]
    found = by_name or by_package
    if found:
        return found
    # Not at the top: nobody needs it but who errs.
    import difflib

    names = {name for path in account.paths.values() for name in (path.name, path.package)}
    near = difflib.get_close_matches(wanted, sorted(names), n=3)
    where = account.image.name or "the image"
    die(
        f"no store path of {where} is called {wanted!r}",
        hint=f"perhaps {' or '.join(near)} is meant" if near else "leave it out to see all of them",
    )

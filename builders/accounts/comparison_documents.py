"""What changed from one image to another as JSON; docs/schemas/diff.json describes it."""

from typing import Any, Final

from builders.accounts.account import Account, known_layer_size
from builders.accounts.comparison import Comparison, Transfer

_VERSION: Final = 1


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return what changed from one image to another as JSON's types."""
    return {
        "version": _VERSION,
        "old": _side(comparison.old),
        "new": _side(comparison.new),
        "push": _transfer(comparison.push),
        "pull": {
            "byDigest": _transfer(comparison.push),
            "byChain": _transfer(comparison.pull_by_chain),
        },
        "causes": [
            {
                "package": cause.package,
                "reason": cause.reason,
                "old": list(cause.old),
                "new": list(cause.new),
            }
            for cause in comparison.causes.causes
        ],
        "perhaps": list(comparison.causes.perhaps),
        "packages": [
            {
                "package": one.package,
                "old": list(one.old),
                "new": list(one.new),
                "oldBytes": one.old_bytes,
                "newBytes": one.new_bytes,
                "paths": list(one.paths),
            }
            for one in comparison.packages
        ],
        "layers": [
            {
                "number": change.layer.number,
                "diffId": change.layer.known.diff_id,
                "size": known_layer_size(comparison.new, change.layer),
                "blob": change.layer.known.blob,
                "blobSize": change.layer.known.blob_size,
                "changed": list(change.changed),
                "moved": list(change.moved),
                "way": list(change.way),
                "recompressed": change.is_recompressed,
            }
            for change in comparison.layers
        ],
        "config": [
            {"field": one.field, "old": one.old, "new": one.new, "follows": one.follows}
            for one in comparison.config
        ],
        "unknown": list(
            dict.fromkeys((*comparison.old.image.unknown, *comparison.new.image.unknown))
        ),
    }


def _side(account: Account) -> dict[str, Any]:
    return {
        "source": account.image.source,
        "name": account.image.name or None,
        "platform": account.image.platform,
        "measure": account.image.measure,
        "size": account.size if account.has_sizes else None,
        "compressed": account.compressed,
        "layers": len(account.layers),
        "paths": len(account.paths),
    }


def _transfer(transfer: Transfer | None) -> dict[str, Any] | None:
    if transfer is None:
        return None
    return {
        "layers": transfer.layers,
        "size": transfer.size,
        "compressed": transfer.compressed,
        "documents": transfer.documents,
    }

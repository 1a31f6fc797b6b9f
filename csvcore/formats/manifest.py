"""Manifests of loss packs: the corpus, and the settings that made each model's losses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from csvcore.errors import InputError
from csvcore.formats.outside import json_value

FORMAT = "csvcore-losspack/1"
KEY = b"csvcore.manifest"  # in the key-value metadata of the Parquet file
WHOLE = "whole"  # the context where every document fitted in one window
SHORT_HASH = 12  # characters of a hash that are shown


@dataclass(frozen=True, slots=True)
class Manifest:
    """Settings by which the losses of one model were made; None where unknown.

    prefix: the token before every text, an object with token_id, token, rule and why, or in packs
    from other programs the token alone. rows, head: see `lm.selftest.SelfTest`. served: the
    model's name on a server. apart: the server's mean difference to the model, nats per token.
    context: tokens of a window, or "whole". created: ISO 8601, UTC. others: unknown keys, and known
    keys with values of another type, written back unchanged.
    """

    weights_sha256: str | None = None
    tokenizer_sha256: str | None = None
    prefix: Mapping[str, Any] | str | int | None = None
    dtype: str | None = None
    engine: str | None = None
    rows: str | None = None
    head: str | None = None
    scoring_version: int | None = None
    served: str | None = None
    apart: float | None = None
    context: str | int | None = None
    created: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prefix_token(self) -> str | None:
        """Return the token before each text."""
        token = self.prefix.get("token") if isinstance(self.prefix, Mapping) else self.prefix
        return None if token is None else str(token)

    @property
    def prefix_rule(self) -> str | None:
        """Return the rule that chose the prefix: bos, eos or separator."""
        rule = self.prefix.get("rule") if isinstance(self.prefix, Mapping) else self.prefix
        return None if rule is None else str(rule)

    @property
    def short_weights(self) -> str:
        """Return the first characters of the hash of the weights; empty where it is unknown."""
        return (self.weights_sha256 or "")[:SHORT_HASH]

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as a JSON object, without unknown fields."""
        values = {name: getattr(self, name) for name in _TYPES}
        return {name: value for name, value in values.items() if value is not None} | dict(
            self.others
        )


# The JSON types of each known key.
_TYPES: dict[str, tuple[type, ...]] = dict.fromkeys(
    (entry.name for entry in fields(Manifest) if entry.name != "others"), (str,)
) | {
    "prefix": (dict, str, int),
    "scoring_version": (int,),
    "apart": (float, int),
    "context": (str, int),
}


def from_json(made: Mapping[str, Any]) -> Manifest:
    """Return the manifest of one model from its JSON object."""
    known = {
        name: made[name] for name, types in _TYPES.items() if isinstance(made.get(name), types)
    }
    others = {name: value for name, value in made.items() if name not in known}
    return Manifest(**known, others=others)


@dataclass(frozen=True, slots=True)
class PackManifest:
    """The manifest of a pack: the hash of its corpus, and a manifest for each model."""

    corpus_sha256: str | None
    models: Mapping[str, Manifest] = field(default_factory=dict)


def decode_manifest(name: str, content: bytes) -> PackManifest:
    """Return the manifest of the pack called name from the value of its `csvcore.manifest`.

    Raises:
        InputError: it is not JSON, of another format, or not made of objects.
    """
    raw = json_value(content, f"{name}: csvcore.manifest")
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise InputError(f"{name}: csvcore.manifest must be an object of format {FORMAT}")
    models = raw.get("models", {})
    if not isinstance(models, dict):
        raise InputError(f"{name}: `models` in csvcore.manifest must be an object")
    for model, made in models.items():
        if not isinstance(made, dict):
            raise InputError(
                f"{name}: csvcore.manifest must tell as an object how losses of {model!r} were made"
            )
    corpus = raw.get("corpus_sha256")
    return PackManifest(
        None if corpus is None else str(corpus),
        {model: from_json(made) for model, made in models.items()},
    )


def encode_manifest(manifest: PackManifest) -> bytes:
    """Return the value of `csvcore.manifest` for a pack."""
    models = {model: made.to_json() for model, made in manifest.models.items()}
    raw = {"format": FORMAT, "corpus_sha256": manifest.corpus_sha256, "models": models}
    return json.dumps(raw).encode()

"""Plans of collections: sizes, token counts and problems of models, before any is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from csvcore import lm, store
from csvcore.errors import InputError, ModelError
from csvcore.formats.manifest import WHOLE
from csvcore.lm import LoadConfig, ModelFiles
from csvcore.records import Document

BYTES_OF = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Plan:
    """Facts about a model before it is loaded.

    n_params: from the headers of its files. n_bytes: of its weights once loaded; both None for
    GGUF files, which are unpacked at load. n_tokens: of each document, by its tokenizer.
    n_approximate: documents whose tokens do not spell their text and are placed by offsets.
    context: most tokens of a window, None if unbounded. stored: True if its losses are in the
    database. problem: reason why it cannot be scored.
    """

    name: str
    model: str
    files: ModelFiles | None = None
    n_params: int | None = None
    n_bytes: int | None = None
    n_tokens: tuple[int, ...] = ()
    n_approximate: int = 0
    context: int | None = None
    model_type: str = ""
    stored: bool = False
    problem: str | None = None

    @property
    def total_tokens(self) -> int:
        """Return the number of tokens of the whole corpus."""
        return sum(self.n_tokens)


def plan(
    name: str,
    docs: Sequence[Document],
    load: LoadConfig,
    counts: dict[str, Any],
    model: str | None = None,
) -> Plan:
    """Inspect a model's files; return problems in the plan, so that other models can proceed.

    Args:
        name: folder, GGUF file or hub name.
        docs: the corpus.
        load: dtype and trust_remote_code.
        counts: token counts by tokenizer, reused between calls since families share tokenizers.
        model: its name in the database; by default that of its folder, file or repository.
    """
    model = model or lm.model_name(name)
    try:
        files = lm.find(name, load.trust_remote_code)
        n_params = files.n_params  # refuses a folder without weights
        key = files.tokenizer_sha256
        if key not in counts:
            tokenizer = lm.load_tokenizer(files, load.trust_remote_code)
            counts[key] = _count(tokenizer, docs)
        settings = lm.load_config(files, load.trust_remote_code)
        n_bytes = n_params * BYTES_OF[load.dtype]
    except (ModelError, InputError) as error:
        return Plan(name, model, problem=str(error))
    n_tokens, n_approximate = counts[key]
    return Plan(
        name=name,
        model=model,
        files=files,
        n_params=n_params,
        n_bytes=n_bytes,
        n_tokens=n_tokens,
        n_approximate=n_approximate,
        context=lm.context_of(settings),
        model_type=str(settings.model_type),
    )


def _count(tokenizer: Any, docs: Sequence[Document]) -> tuple[tuple[int, ...], int]:
    encodings = [lm.encode(tokenizer, doc.text) for doc in docs]
    exact = sum(encoding.tiling.exact for encoding in encodings)
    return tuple(len(encoding.token_ids) for encoding in encodings), len(docs) - exact


def common_context(plans: Sequence[Plan], wanted: int | None) -> int | None:
    """Return one window size in tokens for all models, so that none gains from a longer context.

    Raises:
        InputError: the requested context exceeds a model's.
    """
    bounds = {plan.model: plan.context for plan in plans if plan.context is not None}
    if wanted is None:
        return min(bounds.values(), default=None)
    for model, bound in bounds.items():
        if wanted > bound:
            raise InputError(f"{model} has a context of {bound} tokens; --context {wanted} is more")
    return wanted


def windowed(n_tokens: Sequence[int], context: int | None) -> int:
    """Return the number of documents that need more than one window."""
    return 0 if context is None else sum(n > context for n in n_tokens)


def free_memory() -> int:
    """Return the machine's available memory in bytes."""
    return int(psutil.virtual_memory().available)


def stored_contexts(database: Path, corpus: str) -> set[str]:
    """Return the window sizes in the stored manifests of a corpus, other than whole documents."""
    with store.connect(database, read_only=True) as db:
        manifests = store.manifests(db, corpus).values()
    return {
        str(manifest.context)
        for manifest in manifests
        if manifest and manifest.context not in (None, WHOLE)
    }

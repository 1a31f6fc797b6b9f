"""Laws of manifests: JSON there and back, and what packs of others may hold."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from csvcore.formats.manifest import (
    Manifest,
    PackManifest,
    decode_manifest,
    encode_manifest,
    from_json,
)

KEYS = ("weights_sha256", "prefix", "dtype", "scoring_version", "context", "apart", "colour")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def test_a_manifest_is_the_json_of_the_contract() -> None:
    made = Manifest(weights_sha256="w", prefix={"token": "<s>"}, others={"colour": "red"})
    assert encode_manifest(PackManifest("abc", {"ant": made})) == (
        b'{"format": "csvcore-losspack/1", "corpus_sha256": "abc", "models": {"ant": '
        b'{"weights_sha256": "w", "prefix": {"token": "<s>"}, "colour": "red"}}}'
    )


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(), VALUES, max_size=5))
def test_a_manifest_comes_back_from_its_json_with_every_key(made: dict[str, Any]) -> None:
    assert from_json(made).to_json() == made
    pack = PackManifest("abc", {"ant": from_json(made)})
    assert decode_manifest("pack", encode_manifest(pack)) == pack


def test_a_value_of_another_type_is_not_taken_for_the_known_one() -> None:
    made = from_json({"dtype": 32, "created": None})
    assert (made.dtype, made.created) == (None, None)
    assert made.others == {"dtype": 32, "created": None}


def test_a_prefix_is_read_as_collect_writes_it_or_plainly() -> None:
    assert from_json({"prefix": {"token": "<s>", "rule": "bos"}}).prefix_token == "<s>"
    assert from_json({"prefix": {"token": "<s>", "rule": "bos"}}).prefix_rule == "bos"
    assert from_json({"prefix": "<s>"}).prefix_token == "<s>"
    assert from_json({"prefix": 1}).prefix_token == "1"
    assert from_json({"prefix": {}}).prefix_token is None
    assert Manifest().prefix_token is None

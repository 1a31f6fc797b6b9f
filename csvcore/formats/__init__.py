"""Files that users bring and take; docs/formats.md describes them."""

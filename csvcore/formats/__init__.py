"""Import and export file formats, described in docs/formats.md."""

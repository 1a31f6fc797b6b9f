"""Sources of corpora: files and folders of documents, and recipes that sample data sets.

`rows` reads data files, `files` reads and writes corpora, `recipes` samples documents from data
sets and `templates` formats their rows.
"""

from csvcore.formats.corpora.files import read_corpus, write_corpus
from csvcore.formats.corpora.recipes import PAPER, Part, Recipe, read_recipe, sample

__all__ = ["PAPER", "Part", "Recipe", "read_corpus", "read_recipe", "sample", "write_corpus"]

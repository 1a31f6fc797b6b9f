"""Where corpora come from: files and folders of documents, and recipes that draw them from data.

`records` reads the files, `reading` makes documents of those that are documents already, `recipes`
draws documents from the rows of data sets.
"""

from csvcore.formats.corpora.files import read_corpus, write_corpus
from csvcore.formats.corpora.recipes import PAPER, Part, Recipe, read_recipe, sample

__all__ = ["PAPER", "Part", "Recipe", "read_corpus", "read_recipe", "sample", "write_corpus"]

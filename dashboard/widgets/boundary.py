"""The one place where a page shows an error: a warning in place of what could not be drawn."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from csvcore.errors import explained, shortened
from dashboard.queries import roles
from dashboard.widgets import text


@contextmanager
def shown() -> Iterator[None]:
    """Show an error in the block as a warning; a fault of the program keeps its traceback.

    Around a page, and as a decorator of what Streamlit calls by itself: callbacks and fragments.
    Those are drawn for a user who may still come in; another gets the login page.
    """
    if roles.role() is None:
        st.rerun()  # within a callback it does nothing; changes check the role themselves
    try:
        yield
    except Exception as error:
        told = explained(error)
        if told is None:
            raise
        st.warning(text.sentence(shortened(str(told))), icon=":material/error:")

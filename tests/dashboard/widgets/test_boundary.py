import pytest
from streamlit.testing.v1 import AppTest


def page() -> None:
    import streamlit as st

    from csvcore.errors import InputError
    from dashboard.widgets import boundary

    errors = {"nested": RecursionError(), "own": InputError("*no*"), "fault": ValueError("x")}

    @st.fragment
    @boundary.shown()
    def part() -> None:
        raise errors[st.session_state["error"]]

    part()
    st.text("the rest")


@pytest.mark.parametrize(("error", "said"), [("nested", "nested too deeply"), ("own", r"\*no\*")])
def test_an_error_is_a_warning_in_its_place_and_the_page_goes_on(error: str, said: str) -> None:
    app = AppTest.from_function(page)
    app.session_state["error"] = error
    app.run()
    assert not app.exception
    assert said in app.warning[0].value
    assert app.text[0].value == "the rest"


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    app = AppTest.from_function(page)
    app.session_state["error"] = "fault"
    app.run()
    assert app.exception

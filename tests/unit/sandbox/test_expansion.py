"""Arguments and environment values expand as in Kubernetes."""

import pytest

from tasklet_runner.sandbox.expansion import chunk_values, compile_environment, compile_text

ENVIRONMENT = (("A", "one"), ("B", "$(A)-two"), ("EMPTY", ""), ("PLACE", "/in/$(CHUNK_PATH)"))
VALUES = chunk_values(7, 2, "7-abcd", "src/lib/main.tar.gz")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        pytest.param("plain", "plain", id="text without a dollar stays"),
        pytest.param("", "", id="an empty text stays empty"),
        pytest.param("$(A)", "one", id="a variable becomes its value"),
        pytest.param("x$(A)y$(A)z", "xoneyonez", id="variables stand between text and repeat"),
        pytest.param("$(B)", "one-two", id="a variable may name an earlier one"),
        pytest.param("$(EMPTY)", "", id="an empty variable is known"),
        pytest.param("$(UNKNOWN)", "$(UNKNOWN)", id="an unknown name stays as it is"),
        pytest.param("$()", "$()", id="an empty name stays as it is"),
        pytest.param("$$(A)", "$(A)", id="a doubled dollar escapes"),
        pytest.param("$$$(A)", "$one", id="an escaped dollar may stand before a reference"),
        pytest.param("$$$$(A)", "$$(A)", id="two escapes are two dollars"),
        pytest.param("$A ${A}", "$A ${A}", id="shell syntax is plain text"),
        pytest.param("price: $", "price: $", id="a dollar at the end stays"),
        pytest.param("$(A", "$(A", id="a reference that is not closed stays"),
        pytest.param("$(A$(A)", "$(A$(A)", id="a name reaches to the first parenthesis"),
        pytest.param(
            "$(CHUNK_INDEX)/$(CHUNK_ID)/$(CHUNK_ATTEMPT)", "7/7-abcd/2", id="the chunk's index, id and attempt"
        ),
        pytest.param("$(CHUNK_PATH)", "src/lib/main.tar.gz", id="the chunk's path"),
        pytest.param("$(CHUNK_NAME) $(CHUNK_STEM)", "main.tar.gz main.tar", id="the stem lacks the last suffix"),
        pytest.param("$(PLACE)", "/in/src/lib/main.tar.gz", id="a variable may hold a chunk name"),
        pytest.param("$(CHUNK_COLOUR)", "$(CHUNK_COLOUR)", id="an unknown chunk name stays"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert compile_text(text, compile_environment(ENVIRONMENT)).fill(VALUES) == expanded


def test_a_value_does_not_see_variables_that_stand_after_it() -> None:
    environment = compile_environment((("FIRST", "$(SECOND)"), ("SECOND", "2")))
    assert environment["FIRST"].fill(VALUES) == "$(SECOND)"


def test_the_later_of_two_variables_with_one_name_counts_and_may_name_the_earlier() -> None:
    assert compile_environment((("P", "a"), ("P", "$(P):b")))["P"].fill(VALUES) == "a:b"


def test_only_a_chunk_name_makes_a_text_vary() -> None:
    environment = compile_environment(ENVIRONMENT)
    assert [compile_text(text, environment).constant for text in ("$(B) $(NO)", "$(PLACE)")] == [True, False]


@pytest.mark.parametrize(
    ("path", "name", "stem"),
    [
        pytest.param("", "", "", id="without a path both are empty"),
        pytest.param("a/.profile", ".profile", ".profile", id="a leading dot is no suffix"),
        pytest.param("Makefile", "Makefile", "Makefile", id="a name without a suffix is its own stem"),
    ],
)
def test_name_and_stem(path: str, name: str, stem: str) -> None:
    values = chunk_values(0, 1, "0-a", path)
    assert (values["CHUNK_NAME"], values["CHUNK_STEM"]) == (name, stem)

import pytest
import torch

from photowords.concept import Concept, from_rows
from photowords.errors import UserError
from photowords.prompts import OBJECT_TEMPLATES, STYLE_TEMPLATES, find_words, in_template, parse, sentence


def concept(name: str, sentence: str) -> Concept:
    words = sentence.split()
    return from_rows(name, words, {"text_encoder": torch.randn(len(words), 4)})


MUG = concept("mug", "blue checkered mug")
HAT = concept("hat", "red hat")


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a photo of a red mug", "red mug"),
        ("A close-up photo of the red mug.", "red mug"),
        ("a blurry photo of a red mug.", "red mug"),
        ("there is a cat on the table", "cat on the table"),
        ("arafed dog in the snow", "dog in the snow"),
        ("an  elephant \n with tusks", "elephant with tusks"),
        ("bon appetit", "bon appetit"),
        ("«été» ñandú", "«été» ñandú"),
    ],
)
def test_a_sentence_loses_its_opening_and_article(caption: str, expected: str) -> None:
    assert sentence(caption) == expected


@pytest.mark.parametrize("caption", ["", "  ", "...", "\x00", '" "'])
def test_a_caption_without_words_is_refused(caption: str) -> None:
    with pytest.raises(UserError, match="no word to learn"):
        sentence(caption)


def test_templates_are_the_published_ones() -> None:
    assert len(OBJECT_TEMPLATES) == len(set(OBJECT_TEMPLATES)) == 27
    assert len(STYLE_TEMPLATES) == len(set(STYLE_TEMPLATES)) == 17
    assert all(template.count("{}") == 1 for template in OBJECT_TEMPLATES + STYLE_TEMPLATES)


def test_a_template_holds_every_row_in_order() -> None:
    assert in_template("a photo of a {}", 3) == ["a photo of a ", 0, 1, 2]
    assert in_template("{} up close", 1) == [0, " up close"]


def test_two_concepts_count_their_rows_one_after_the_other() -> None:
    pieces = parse("a {hat} beside {mug} and {hat}", {"mug": MUG, "hat": HAT})
    assert pieces == ["a", 3, 4, "beside", 0, 1, 2, "and", 3, 4]


def test_a_swap_puts_the_plain_word_in_the_placeholders_place() -> None:
    assert parse("{mug:checkered=striped} here", {"mug": MUG}) == [0, "striped", 2, "here"]
    assert parse("{mug: blue checkered = red dotted}", {"mug": MUG}) == ["red dotted", 2]
    assert parse("{mug:blue=red,mug=}", {"mug": MUG}) == ["red", 1]


def test_a_swap_finds_a_word_that_was_several_tokens() -> None:
    pieces = concept("bag", "her shel backpack")
    assert find_words(pieces, "hershel") == range(0, 2)
    assert parse("{bag:hershel=blue}", {"bag": pieces}) == ["blue", 2]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a photo of {cup}", r"names the concept \{cup\}, which is not among those given \(\{mug\}\)"),
        ("{mug:striped=dotted}", "has no word 'striped'; its words are blue, checkered, mug"),
        ("{mug:checkered}", "write {mug:old word=new word}"),
        ("{mug:=x}", "not understood"),
        ("a {mug", "lone brace"),
        ("a {} b", "names the concept"),
    ],
)
def test_a_prompt_that_is_wrong_says_how(prompt: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(prompt, {"mug": MUG})


def test_a_file_without_words_cannot_be_swapped() -> None:
    nameless = from_rows("x", ["", ""], {"text_encoder": torch.zeros(2, 4)})
    with pytest.raises(UserError, match="does not say its words"):
        parse("{x:red=blue}", {"x": nameless})

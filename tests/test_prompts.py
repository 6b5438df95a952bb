import pytest
import torch

from photowords.concept import Concept, Word, WordRef
from photowords.errors import UserError
from photowords.prompts import find_words, in_template, parse, sentence
from photowords.templates import OBJECT, STYLE, TEMPLATES, templates


def concept(name: str, sentence: str) -> Concept:
    return Concept(name, tuple(Word(text, {"clip_l": torch.randn(1, 4)}) for text in sentence.split(" ")))


def mug(*words: int) -> list[WordRef]:
    return [WordRef("mug", word) for word in words]


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
    """Counted in the scripts themselves: all, and distinct ones."""
    counts = {
        (source, kind): (len(listed), len(set(listed)))
        for source, kinds in TEMPLATES.items()
        for kind, listed in kinds.items()
    }
    assert counts == {
        ("distinct", "object"): (27, 27),
        ("distinct", "style"): (17, 17),
        ("diffusers", "object"): (27, 27),
        ("diffusers", "style"): (19, 17),
        ("textual-inversion", "object"): (81, 57),
        ("textual-inversion", "style"): (19, 17),
    }
    assert templates("object") == OBJECT and set(templates("style")) == set(STYLE)
    assert all(one.count("{}") == 1 for kinds in TEMPLATES.values() for listed in kinds.values() for one in listed)
    original = templates("object", "textual-inversion")
    assert original[27] == "an illustration of a {}" and original[80] == "a depiction of a small {}"
    assert original[29] == original[56] == "a cropped photo of the {}", "only what begins with a photo changes"


def test_a_template_holds_every_word_in_order() -> None:
    assert in_template("a photo of a {}", MUG) == ["a photo of a ", *mug(0, 1, 2)]
    assert in_template("{} up close", HAT) == [*HAT.refs, " up close"]


def test_two_concepts_in_one_prompt() -> None:
    pieces = parse("a {hat} beside {mug} and {hat}", {"mug": MUG, "hat": HAT})
    assert pieces == ["a ", *HAT.refs, " beside ", *mug(0, 1, 2), " and ", *HAT.refs]


def test_a_swap_puts_the_plain_word_in_the_learned_words_place() -> None:
    for old in ("checkered", "<1>", " <1> "):
        assert parse(f"{{mug:{old}=striped}} here", {"mug": MUG}) == [*mug(0), " striped ", *mug(2), " here"]
    assert parse("{mug: blue checkered = red dotted}", {"mug": MUG}) == ["red dotted ", *mug(2)]
    assert parse("{mug:blue=red,mug=}", {"mug": MUG}) == ["red ", *mug(1)]


def test_a_swap_and_the_text_beside_it_are_one_text() -> None:
    """Some tokenizers read the comma of "cup, on" otherwise than a comma by itself."""
    assert parse("({mug:blue=red,mug=cup}, on ice)", {"mug": MUG}) == ["(red ", *mug(1), " cup, on ice)"]
    assert parse("a photo of {mug:blue=red,checkered=big}.", {"mug": MUG}) == ["a photo of red big ", *mug(2), "."]
    assert parse("of{mug:blue=red}", {"mug": MUG}) == ["of red ", *mug(1, 2)], "no word becomes another"
    assert parse("{mug:blue=,mug=cup}s", {"mug": MUG}) == [*mug(1), " cup s"]


def test_a_swap_finds_a_word_that_is_several_of_the_concepts() -> None:
    pieces = concept("bag", "her shel backpack")
    assert find_words(pieces, "hershel") == range(0, 2)
    assert parse("{bag:hershel=blue}", {"bag": pieces}) == ["blue ", WordRef("bag", 2)]


def test_a_swap_finds_a_word_however_its_accents_are_typed() -> None:
    given = {"cup": concept("cup", "caf\u00e9 cup")}
    assert parse("{cup:cafe\u0301=tea}", given) == parse("{cup:caf\u00e9=tea}", given)


def test_a_swap_finds_a_word_with_its_comma_and_keeps_the_comma() -> None:
    pieces = concept("cup", "red, shiny (old) mug")
    assert parse("{cup:red=blue}", {"cup": pieces})[0] == "blue, "
    assert parse("{cup:Red shiny=blue}", {"cup": pieces}) == ["blue ", WordRef("cup", 2), WordRef("cup", 3)]
    assert parse("{cup:old=new,<0>=}", {"cup": pieces}) == [WordRef("cup", 1), " (new) ", WordRef("cup", 3)]


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


def test_a_word_that_stands_there_twice_is_swapped_by_its_place() -> None:
    given = {"cat": concept("cat", "cat, black cat")}
    with pytest.raises(UserError, match=r"concept cat has 'cat' 2 times; say which .* its place: <0> or <2>"):
        parse("{cat:cat=mug}", given)
    assert parse("{cat:<2>=mug}", given) == [WordRef("cat", 0), WordRef("cat", 1), " mug"]
    assert parse("{cat:black cat=mug}", given) == [WordRef("cat", 0), " mug"]


def test_a_file_without_words_cannot_be_swapped() -> None:
    nameless = concept("x", " ")
    with pytest.raises(UserError, match="does not say its words"):
        parse("{x:red=blue}", {"x": nameless})

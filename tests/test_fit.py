"""From what a model said to a sentence, and from its words to the tokens of every text encoder."""

from __future__ import annotations

import random
import warnings

import pytest
import torch

from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.align import align
from photowords.initializers.fit import STOPWORDS, Fitted, count_tokens, fit, room
from photowords.templates import templates

SIXTEEN = "red and white striped teapot with a yellow star on a blue table under the sky"


def quietly(text: str, backbone: Backbone, budget: int = 16, drop: tuple[str, ...] = ()) -> Fitted:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PhotowordsWarning)
        return fit(text, backbone, budget, drop)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("a photo of a red mug.", "red mug"),
        ("arafed image of a cat on a mat", "cat on a mat"),
        ("there is a araffed dog in the snow", "dog in the snow"),
        ("a black and white photo of a cat", "cat"),
        ("a close - up of a red mug", "red mug"),
        ("this is a picture of the drawing of a cat", "cat"),
        ("a man holding a photo of his dog", "man holding a photo of his dog"),
        ("a cat with a", "cat"),
        ("a cat, with the", "cat"),
        ("and the cat is on the mat", "cat is on the mat"),
    ],
)
def test_openings_and_dangling_words_go(said: str, expected: str, tiny: Backbone) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(said, tiny, 16) == Fitted(expected)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("ca\u200bt \ufeffand\u00ad dog\x00on\x1fmat\tor\nrug", "cat and dog on mat or rug"),
        ("🦊 a fox 👩‍👩‍👧 with ❤️ and 1️⃣ hat", "fox with and 1 hat"),
        ("ｆｕｌｌ ﬁsh © 2 + $5 <b>", "full fish 2 5 b"),
        ("teddy_bear", "teddy bear"),
        ('a sign that says "stop"', "sign that says stop"),
        ("рыжий кот на столе", "рыжий кот на столе"),
        ("cafe\u0301 e\u200b\u0301té", "café été"),
        ("हिन्दी बिल्ली", "हिन्दी बिल्ली"),
    ],
)
def test_odd_characters_go_and_letters_of_any_script_stay(said: str, expected: str, tiny: Backbone) -> None:
    fitted = quietly(said, tiny, 60)
    assert fitted.text == quietly(expected, tiny, 60).text
    if count_tokens(expected, tiny) <= room(tiny):
        assert fitted.text == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("a cat cat cat", "cat"),
        ("a red ball and a red ball and a red ball", "red ball"),
        ("a cat, a cat, a cat", "cat"),
        ("a cup in a hat and a cup in a hat and a cup in", "cup in a hat"),
        ("a red hat with red hat with red", "red hat"),
        ("red mug and the red mug", "red mug"),
        ("a photo of a mug a photo of a mug", "mug"),
        ("a dog in a a basket", "dog in a basket"),
        ("Very very good very good", "Very good"),
        ("a b a b a b c", "b c"),
    ],
)
def test_what_a_looping_captioner_repeats_is_said_once(said: str, expected: str, tiny: Backbone) -> None:
    with pytest.warns(PhotowordsWarning, match="was cut to .*: repeated words left out; give the words") as warned:
        fitted = fit(said, tiny, 16)
    assert fitted.text == expected and fitted.notes == ("repeated words left out",) and len(warned) == 1


def test_a_word_that_comes_again_elsewhere_stays(tiny: Backbone) -> None:
    for said in ("red ball and red hat", "dog with a dog", "black cat and a black dog", "dog and a dog toy"):
        assert fit(said, tiny, 16).text == said
    assert quietly("a dog and a dog on a mat", tiny).text == "dog on a mat"


def test_a_caption_over_the_budget_is_cut_at_a_word(tiny: Backbone) -> None:
    assert count_tokens(SIXTEEN, tiny) == 16 and fit(SIXTEEN, tiny, 16).text == SIXTEEN
    for budget, expected in {
        15: "red and white striped teapot with a yellow star on a blue table under",
        9: "red and white striped teapot with a yellow star",
        7: "red and white striped teapot",
        2: "red",
    }.items():
        with pytest.warns(PhotowordsWarning, match=f"was cut to '{expected}': cut at {budget} tokens"):
            assert fit(SIXTEEN, tiny, budget).text == expected
    with pytest.warns(PhotowordsWarning) as warned:
        assert fit("a cat cat sitting on the mat", tiny, 3).notes == ("repeated words left out", "cut at 3 tokens")
    assert len(warned) == 1


def test_a_long_word_is_never_split_but_a_script_without_spaces_is_cut_at_a_letter(tiny: Backbone) -> None:
    assert quietly("red qwertzuiop", tiny, 3).text == "red"
    fitted = quietly("红色的猫在桌子上", tiny, 8)
    assert "红色的猫在桌子上".startswith(fitted.text) and 0 < count_tokens(fitted.text, tiny) <= 8
    assert count_tokens(fitted.text, tiny) > 8 - 3  # a letter is at most three tokens


def test_the_budget_never_exceeds_the_room_beside_the_longest_template(tiny: Backbone) -> None:
    longest = max(
        len(tiny.text_encoders["clip_l"].ids(template.format("")))
        for template in templates("object") + templates("style")
    )
    assert room(tiny) == tiny.text_encoders["clip_l"].context - 2 - longest
    words = " ".join(tiny.vocabulary("clip_l")[0][20:60])
    assert len(quietly(words, tiny, 1000).text.split()) == room(tiny)


@pytest.mark.parametrize("said", ["", "a", "with a", "🦊🦊", "\u200b", "...", "a photo of", "- - -", "a photo of a"])
def test_nothing_left_says_what_to_do(said: str, tiny: Backbone) -> None:
    with pytest.raises(UserError, match="holds no word to learn; give the words yourself as `words`"):
        fit(said, tiny, 16)


def test_dropping(tiny: Backbone) -> None:
    said = "a green backpack with a white star, and a white hat"
    assert fit(said, tiny, 16, ("WHITE",)).text == "green backpack with a star, and a hat"
    assert fit(said, tiny, 16, ("white star", "green")).text == "backpack with a and a white hat"
    assert fit(said, tiny, 16, ("white star", "and a white hat")).text == "green backpack"
    assert fit(said, tiny, 16, ("star",)).notes == ("dropped star",)
    for missing in ("whit", "star white", ""):
        with pytest.raises(UserError, match="to drop; the sentence's words are green, backpack, with, a, white, star"):
            fit(said, tiny, 16, (missing,))
    with pytest.raises(UserError, match="every word of 'cat' is dropped"):
        fit("a cat", tiny, 16, ("cat",))


def test_the_sentence_of_a_sentence_is_itself(tiny: Backbone) -> None:
    draw = random.Random(0)
    parts = [*sorted(STOPWORDS), "red", "ball", "(the)", "'a", "é", "été.", "猫", *"-,🦊½"]
    parts += ["cat", "blue", "mug", "photo of", "arafed", "there is"] * 2
    fitted_some = 0
    for _ in range(400):
        said = " ".join(draw.choices(parts, k=draw.randint(1, 14)))
        try:
            once = quietly(said, tiny, 6)
        except UserError:
            continue
        fitted_some += 1
        assert quietly(once.text, tiny, 6).text == once.text, said
        assert count_tokens(once.text, tiny) <= 6
    assert fitted_some > 200


def test_sub_word_tokens_and_glued_punctuation_belong_to_their_word(tiny: Backbone) -> None:
    text, clip = "mug, café 日本 it's", tiny.text_encoders["clip_l"]
    words = align(text, tiny)
    assert [word.text for word in words] == text.split() and words[0].tokens("clip_l") == 2
    assert torch.equal(torch.cat([word.vectors["clip_l"] for word in words]), clip.word_vectors(text))


def test_the_vocabulary_is_whole_words_with_their_frozen_vectors(tiny: Backbone, pocket_model: Backbone) -> None:
    for backbone in (tiny, pocket_model):
        words, vectors = backbone.vocabulary("clip_l")
        clip = backbone.text_encoders["clip_l"]
        assert len(words) == len(set(words)) == len(vectors) and vectors.dtype == torch.float32
        assert {"a", "mug", "teapot", "checkered"} <= set(words) and not {"*", "s", "2", "Mug"} & set(words)
        for i in range(0, len(words), 7):
            assert torch.equal(clip.word_vectors(words[i]), vectors[i : i + 1]), words[i]
            assert len(clip.ids(words[i])) == 1
    known = pocket_model.vocabulary("clip_l")[0]
    assert pocket_model.unknown_words(" ".join(known)) == [] and len(known) == 112

from olympus.runtime.errors import did_you_mean, nearest


def test_a_name_that_ends_alike_is_nearer_than_one_that_looks_alike() -> None:
    assert nearest("rover/shy", ["rover/iot", "shy"]) == "shy"
    assert nearest("detector", ["rover/detector", "selector"]) == "rover/detector"
    assert nearest("rover/detectr", ["rover/detector", "rover/drive"]) == "rover/detector"


def test_nothing_like_it_gives_no_hint() -> None:
    assert nearest("coffee", ["rover/drive"]) is None
    assert did_you_mean("coffee", ["rover/drive"]) == "known: rover/drive"
    assert did_you_mean("coffee", []) == "known: none"


def test_of_many_words_only_some_are_listed() -> None:
    text = did_you_mean("spead", ["speed", *(f"word{n:02}" for n in range(20))])
    assert text.startswith("did you mean 'speed'? known: speed, word00")
    assert text.endswith("word10 and 9 more")

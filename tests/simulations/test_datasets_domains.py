"""News, shops, courses and feeds: each format is read as it is documented, and refused by file, line and reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sottovoce.common.errors import ConfigError, DataError
from sottovoce.simulations.datasets import Dataset, ReadOptions, load_dataset
from sottovoce.simulations.datasets.examples import WRITERS, write_example
from sottovoce.simulations.datasets.items import MAX_TEXT

ANY = ReadOptions(min_interactions=1)
LENIENT = ReadOptions(min_interactions=1, lenient=True)

NEWS = """\
N1\tsports\tsoccer\tA derby\tTwo clubs met.\thttps://x\t[]\t[]
N2\tfinance\tmarkets\tStocks fall\t\t\t[]\t[]
N3\tsports\tsports\tA record "broken\tFast.\t\t[]\t[]
N4\tweather\train\tRain\tWet.\t\t[]\t[]
"""
BEHAVIOURS = """\
1\tU1\t11/11/2019 9:05:58 AM\tN1 N2\tN3-1 N4-0
2\tU1\t11/12/2019 9:05:58 PM\tN1 N2\tN4-1 N2-0
3\tU2\t11/11/2019 9:05:58 AM\tN2\tN1-0 N3-1
4\tU3\t11/11/2019 9:05:58 AM\t\tN1-0 N3-0
"""


@pytest.fixture
def news(tmp_path: Path) -> Path:
    (tmp_path / "news.tsv").write_text(NEWS)
    (tmp_path / "behaviors.tsv").write_text(BEHAVIOURS)
    return tmp_path


def refusal(source: Path, options: ReadOptions = ANY) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(str(source), options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{source}/", "")


def histories(dataset: Dataset) -> dict[str, list[str]]:
    ids = dataset.catalogue.ids
    return {str(user): [ids[item] for item in history]
            for user, history in zip(dataset.histories.users, dataset.histories, strict=True)}  # fmt: skip


def test_news_of_one_folder_keep_the_last_impression_of_each_reader(news: Path) -> None:
    dataset = load_dataset(str(news), ANY)

    assert (dataset.domain, dataset.ordered) == ("news", True)
    assert dataset.catalogue.texts[0] == "A derby. sports. soccer. Two clubs met."
    assert dataset.catalogue.titles[2] == 'A record "broken'
    assert dataset.catalogue.attributes["categories"] == (
        "sports | soccer", "finance | markets", "sports", "weather | rain")  # fmt: skip
    assert histories(dataset) == {"U1": ["N1", "N2", "N3"], "U2": ["N2"]}
    shown = dataset.impressions
    assert shown is not None
    lists = [(candidates.tolist(), clicked.tolist()) for candidates, clicked in shown]
    assert sorted(lists) == [([0, 2], [False, True]), ([3, 1], [True, False])]
    of_u1 = lists.index(([3, 1], [True, False]))
    assert shown.history(of_u1).tolist() == [0, 1, 2]
    assert dataset.notes == ("news.tsv: 1 impression left out of evaluation, with nothing or everything clicked",)


def test_news_of_two_folders_evaluate_what_the_second_showed(tmp_path: Path) -> None:
    for name in ("MINDsmall_train", "MINDsmall_dev"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "news.tsv").write_text(NEWS)
        (tmp_path / name / "behaviors.tsv").write_text(BEHAVIOURS)
    (tmp_path / "MINDsmall_dev" / "news.tsv").write_text(NEWS + "N5\tweather\tsun\tSun\tDry.\t\t[]\t[]\n")
    (tmp_path / "MINDsmall_dev" / "behaviors.tsv").write_text("1\tU9\t11/15/2019 9:05:58 AM\tN4\tN5-1 N1-0 N9-0\n")

    dataset = load_dataset(str(tmp_path), ANY)

    assert dataset.catalogue.ids == ("N1", "N2", "N3", "N4", "N5")
    assert histories(dataset) == {"U1": ["N1", "N2", "N3", "N4"], "U2": ["N2", "N3"]}
    assert dataset.impressions is not None
    assert [candidates.tolist() for candidates, _ in dataset.impressions] == [[4, 0]]
    assert dataset.impressions.history(0).tolist() == [3]
    assert "news.tsv: 1 shown item left out that the catalogue lacks" in dataset.notes


BROKEN_BEHAVIOURS = {
    "9\tU1\t11/13/2019 9:05:58 AM\tN1": "4 fields separated by '\\t', where 5 are expected",
    "9\tU1\t2019-11-13 09:05:58\tN1\tN3-1": "time '2019-11-13 09:05:58' is not like 11/15/2019 10:22:32 AM",
    "9\tU1\t11/13/2019 9:05:58 AM\tN1\tN3-1 N4": "'N4' is not like N1-0 or N1-1",
    "9\tU1\t11/13/2019 9:05:58 AM\tN1\tN3-2": "'N3-2' is not like N1-0 or N1-1",
    "9\tU1\t11/13/2019 9:05:58 AM\tN1\t": "no item was shown",
    "9\t\t11/13/2019 9:05:58 AM\tN1\tN3-1": "user is empty",
}


@pytest.mark.parametrize(("line", "reason"), BROKEN_BEHAVIOURS.items(), ids=list(BROKEN_BEHAVIOURS.values()))
def test_a_broken_line_of_behaviours_is_named_and_a_lenient_reading_goes_on(news: Path, line: str, reason: str) -> None:
    sound = histories(load_dataset(str(news), ANY))
    (news / "behaviors.tsv").write_text(BEHAVIOURS + line + "\n")

    assert refusal(news) == f"behaviors.tsv:5: {reason}"
    dataset = load_dataset(str(news), LENIENT)
    assert histories(dataset) == sound
    assert f"behaviors.tsv: 1 broken row skipped (the first, line 5: {reason})" in dataset.notes


def test_news_without_a_news_file_or_with_a_broken_line_of_it_are_refused(news: Path) -> None:
    (news / "news.tsv").write_text(NEWS + "N5\tsports\n")
    assert refusal(news) == "news.tsv:5: 2 fields separated by '\\t', where 8 are expected"
    assert len(load_dataset(str(news), LENIENT).catalogue) == 4
    (news / "news.tsv").unlink()
    assert refusal(news) == "news.tsv: no such file"


PRODUCTS_2023: list[dict[str, object]] = [
    {"parent_asin": "B1", "title": "A lamp", "store": "Lux", "categories": ["Home", "Light"], "features": ["Bright"],
     "description": ["It shines.", "Long."], "price": 12.5, "average_rating": 4.5, "details": {"Colour": "red"}},
    {"parent_asin": "B2", "title": "A chair", "categories": [], "price": None},
]  # fmt: skip
REVIEWS_2023: list[dict[str, object]] = [
    {"user_id": "A1", "parent_asin": "B1", "asin": "V1", "rating": 5.0, "text": "Good \ud800", "timestamp": 2000},
    {"user_id": "A1", "parent_asin": "B2", "asin": "V2", "rating": 2.0, "text": "", "timestamp": 1000},
]
PRODUCTS_2018 = [{"asin": "B1", "title": "A lamp", "brand": "Lux", "category": [["Home", "Light"]], "price": "$12.50"}]
REVIEWS_2018 = [{"reviewerID": "A1", "asin": "B1", "overall": 4.0, "reviewText": "Good", "unixReviewTime": 1000}]


def write_lines(path: Path, rows: Sequence[Mapping[str, object]], extra: bytes = b"") -> Path:
    content = b"".join(json.dumps(row).encode() + b"\n" for row in rows) + extra
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "json.gz"])
def test_a_shop_of_2023_is_read_plain_and_packed(tmp_path: Path, ending: str) -> None:
    write_lines(tmp_path / f"Lamps.{ending}", REVIEWS_2023)
    write_lines(tmp_path / f"meta_Lamps.{ending}", PRODUCTS_2023)

    dataset = load_dataset(str(tmp_path), ANY)

    assert (dataset.name, dataset.domain) == ("Lamps", "shop")
    assert dataset.catalogue.texts == ("A lamp. Lux. Home, Light. Bright. It shines., Long.", "A chair")
    assert dataset.catalogue.attributes["price"] == ("12.5", "")
    assert dataset.features == {"price": "numeric", "average_rating": "numeric", "brand": "categorical"}
    assert histories(dataset) == {"A1": ["B2", "B1"]}
    assert dataset.histories.words_of(0) == ["", "Good ?"]


def test_a_shop_of_2018_is_read_from_two_named_files(tmp_path: Path) -> None:
    reviews = write_lines(tmp_path / "reviews_Lamps_5.json.gz", REVIEWS_2018)
    products = write_lines(tmp_path / "meta.json.gz", PRODUCTS_2018)

    dataset = load_dataset(str(reviews), ReadOptions(min_interactions=1, items=products))

    assert dataset.catalogue.attributes["categories"] == ("Home | Light",)
    assert histories(dataset) == {"A1": ["B1"]}


BROKEN_LINES = {
    b'{"user_id": "A1"\n': "not JSON: Expecting ',' delimiter: line 2 column 1 (char 17)",
    b"{'user_id': 'A1'}\n": "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    b"[1]\n": "not a JSON object",
    b'{"user_id": "A\xff"}\n': "not JSON: 'utf-8' codec can't decode byte 0xff in position 14: invalid start byte",
    b"[" * 100_000 + b"\n": "not JSON: maximum recursion depth exceeded",
    b'{"user_id": "A1", "parent_asin": "B1", "rating": "good", "timestamp": 1}\n':
        "rating 'good' is not a finite number",
    b'{"parent_asin": "B1", "rating": 1, "timestamp": 1}\n': "user is empty",
}  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), BROKEN_LINES.items(), ids=list(BROKEN_LINES.values()))
def test_a_broken_line_of_reviews_is_named_and_a_lenient_reading_goes_on(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    write_lines(tmp_path / "meta_Lamps.jsonl", PRODUCTS_2023)
    write_lines(tmp_path / "Lamps.jsonl", REVIEWS_2023, line)

    assert refusal(tmp_path).startswith(f"Lamps.jsonl:3: {reason}")
    dataset = load_dataset(str(tmp_path), LENIENT)
    assert histories(dataset) == {"A1": ["B2", "B1"]}
    assert dataset.notes[0].startswith(f"Lamps.jsonl: 1 broken row skipped (the first, line 3: {reason}")


def test_a_line_without_an_end_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sottovoce.simulations.datasets.jsonl.MAX_LINE", 1000)
    write_lines(tmp_path / "meta_Lamps.jsonl", PRODUCTS_2023)
    write_lines(tmp_path / "Lamps.jsonl", [], b"[" * 5000 + b"\n" + json.dumps(REVIEWS_2023[0]).encode())

    assert refusal(tmp_path) == "Lamps.jsonl:1: a line of more than 1000 bytes"
    assert histories(load_dataset(str(tmp_path), LENIENT)) == {"A1": ["B1"]}


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    write_lines(tmp_path / "meta_Lamps.jsonl", PRODUCTS_2023)
    path = write_lines(tmp_path / "Lamps.jsonl.gz", REVIEWS_2023 * 50)
    content = path.read_bytes()
    path.write_bytes(content[:-20] if damage == "cut" else content[:20] + b"\0\0\0\0" + content[24:])

    for options in (ANY, LENIENT):
        assert refusal(tmp_path, options) == "Lamps.jsonl.gz: a damaged gzip file; fetch it again"


def test_two_files_of_reviews_have_to_be_named(tmp_path: Path) -> None:
    for name in ("meta_A.jsonl", "A.jsonl", "B.jsonl"):
        write_lines(tmp_path / name, REVIEWS_2023)
    assert "several files of reviews or products; name one of each" in refusal(tmp_path)


COURSES: list[dict[str, object]] = [
    {"id": "C1", "name": "Algebra", "about": "Vectors.", "prerequisites": "none", "school": "T", "field": ["Maths"]},
    {"id": "C2", "name": "Poems"},
    {"id": "C3", "name": "Physics"},
]


@pytest.mark.parametrize("place", [".", "entities"])
def test_courses_are_read_by_time_or_by_their_order(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    write_lines(tmp_path / place / "course.json", COURSES)
    people: list[dict[str, object]] = [
        {"id": "U1", "course_order": ["C1", "C2"], "enroll_time": ["2019-02-01 08:00:00", "2018-02-01 08:00:00"]},
        {"id": "U2", "course_order": ["C3", "C1", "C2"]},
        {"id": "U3", "course_order": []},
        {"id": "U0", "course_order": None},
    ]
    write_lines(tmp_path / place / "user.json", people)

    dataset = load_dataset(str(tmp_path), ANY)

    assert dataset.domain == "courses"
    assert dataset.catalogue.texts[:2] == ("Algebra. Maths. Vectors. none", "Poems")
    assert histories(dataset) == {"U1": ["C2", "C1"], "U2": ["C3", "C1", "C2"]}
    assert "user.json: 2 people left out, without a course" in dataset.notes
    for wrong, reason in {
        '{"id": "U4", "course_order": ["C1"], "enroll_time": ["yesterday"]}': "a time of U4 is not like 2019-02-11",
        '{"id": "U4", "course_order": ["C1", "C2"], "enroll_time": ["2019-02-11"]}': "2 courses and 1 times",
    }.items():
        write_lines(tmp_path / place / "user.json", people, wrong.encode())
        assert f"user.json:5: {reason}" in refusal(tmp_path)
        assert histories(load_dataset(str(tmp_path), LENIENT)) == histories(dataset)


def write_feed(folder: Path, ties: str = "", reactions: str = "") -> Path:
    (folder / "people.csv").write_text("id,name,about,topics\na,Ada,Sums,maths\nb,Bob,,\nc,Cy,,\n")
    (folder / "posts.csv").write_text(
        'id,author,text,topics\n1,Ada,"One two three, four five six seven eight nine",x | y\n'
    )
    (folder / "ties.csv").write_text("person,other,time,kind\na,b,1,friend\nc,a,3,follow\n" + ties)
    (folder / "reactions.csv").write_text("person,post,time\na,1,2\n" + reactions)
    return folder


def test_a_tie_of_friends_is_in_two_histories_and_a_followers_in_one(tmp_path: Path) -> None:
    dataset = load_dataset(str(write_feed(tmp_path)), ANY)

    assert dataset.domain == "social"
    assert dataset.catalogue.ids == ("person:a", "person:b", "person:c", "post:1")
    assert dataset.catalogue.titles[3] == "Ada: One two three, four five six seven eight …"
    assert dataset.catalogue.texts[3] == "Ada: One two three, four five six seven eight …. x, y. nine"
    assert dataset.catalogue.attributes["kind"] == ("person", "person", "person", "post")
    assert histories(dataset) == {"a": ["person:b", "post:1"], "b": ["person:a"], "c": ["person:a"]}
    assert "ties.csv: 1 tie of friends, each in two histories" in dataset.notes


@pytest.mark.parametrize(
    ("ties", "reactions", "reason"),
    [
        ("a,c,1,enemy\n", "", "ties.csv:4: kind 'enemy' is neither follow nor friend"),
        ("a,a,1,follow\n", "", "ties.csv:4: 'a' follows itself"),
        ("a,c,soon,follow\n", "", "ties.csv:4: time 'soon' is not a finite number"),
        ("", ",1,1\n", "reactions.csv:3: person is empty"),
    ],
)
def test_a_broken_row_of_a_feed_is_named(tmp_path: Path, ties: str, reactions: str, reason: str) -> None:
    sound = histories(load_dataset(str(write_feed(tmp_path)), ANY))
    write_feed(tmp_path, ties, reactions)
    assert refusal(tmp_path) == reason
    assert histories(load_dataset(str(tmp_path), LENIENT)) == sound


@pytest.mark.parametrize(("empty", "left"), [("ties", {"a": ["post:1"]}), ("reactions", {"c": ["person:a"]})])
def test_one_of_ties_and_reactions_may_be_empty(tmp_path: Path, empty: str, left: dict[str, list[str]]) -> None:
    table = write_feed(tmp_path) / f"{empty}.csv"
    table.write_text(table.read_text().splitlines()[0] + "\n")
    assert left.items() <= histories(load_dataset(str(tmp_path), ANY)).items()
    (tmp_path / "ties.csv").write_text("person,other,time,kind\n")
    (tmp_path / "reactions.csv").write_text("person,post,time\n")
    assert refusal(tmp_path) == "ties.csv: no tie in this file, and no reaction in reactions.csv"


def test_a_feed_without_a_table_or_a_column_is_refused(tmp_path: Path) -> None:
    (write_feed(tmp_path) / "posts.csv").write_text("id,text\n1,x\n")
    assert refusal(tmp_path) == "posts.csv:1: no column 'author'; a table of posts has id,author,text,topics"
    (tmp_path / "posts.csv").unlink()
    assert refusal(tmp_path) == "posts.csv: no such file"


def test_books_are_read_in_the_order_of_their_ratings(tmp_path: Path) -> None:
    (tmp_path / "books.csv").write_text(
        "book_id,authors,original_publication_year,title,ratings_1\n1,A,2000.0,T,3\n2,B,,S,3\n"
    )
    (tmp_path / "ratings.csv").write_text("user_id,book_id,rating\n1,2,5\n1,1,3\n")

    dataset = load_dataset(str(tmp_path), ANY)

    assert dataset.catalogue.texts == ("T. A", "S. B")
    assert histories(dataset) == {"1": ["2", "1"]}


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("ratings.csv", "user,book_id,rating\n1,2,5\n", "no column 'user_id'; goodbooks has user_id,book_id,rating"),
        ("books.csv", "id,title\n1,T\n", "no column 'book_id'; goodbooks has book_id,authors,"),
    ],
)
def test_books_without_a_column_are_refused(tmp_path: Path, file: str, content: str, reason: str) -> None:
    (tmp_path / "books.csv").write_text("book_id,authors,original_publication_year,title\n1,A,2000,T\n")
    (tmp_path / "ratings.csv").write_text("user_id,book_id,rating\n1,1,5\n")
    (tmp_path / file).write_text(content)
    assert refusal(tmp_path).startswith(f"{file}:1: {reason}")


@pytest.mark.parametrize("domain", WRITERS)
def test_an_example_of_each_domain_can_be_read_strictly_and_is_the_same_again(tmp_path: Path, domain: str) -> None:
    first = write_example(domain, tmp_path / "a" / domain, people=40, items=64)
    again = write_example(domain, tmp_path / "b" / domain, people=40, items=64)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]

    dataset = load_dataset(str(tmp_path / "a" / domain))

    assert dataset.domain == domain
    assert len(dataset.histories) >= 39
    assert (dataset.impressions is not None) == (domain == "news")


def test_an_example_asks_for_a_known_domain_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of news, shop, courses, social"):
        write_example("weather", tmp_path / "new")
    (tmp_path / "there").write_text("")
    with pytest.raises(ConfigError, match="a new or empty folder"):
        write_example("news", tmp_path)


def test_an_endless_text_is_refused_and_its_item_stays(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(f"item_id,title,text\na,A,{'word ' * 20_000}\nb,B,fine\n")
    (tmp_path / "interactions.csv").write_text("user,item\nu,a\nu,b\n")

    dataset = load_dataset(str(tmp_path), ANY)

    assert dataset.catalogue.texts == ("A", "B. fine")
    assert dataset.notes == (
        f"items.csv: 1 text of more than {MAX_TEXT} characters refused, for the title instead (first: a)",
    )

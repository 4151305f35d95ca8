"""Files read some rows at a time: the same cells as read whole, each row once and at its place."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.data import stream
from modelyard.data.table import read_file
from modelyard.errors import UsageError

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=6)


def cut(size: int, start: int = 0):
    return lambda position: start + ((position - start) // size + 1) * size


def read(path: Path, columns: list[str], size: int, start: int = 0) -> list[stream.Chunk]:
    return list(stream.open_stream(path, columns).chunks(cut(size, start), start))


def cells(chunks: list[stream.Chunk], name: str) -> list:
    return [
        cell for chunk in chunks if chunk.columns for cell in chunk.columns[name].array.to_pylist()
    ]


@given(st.data())
def test_chunks_put_together_are_the_file(data):
    rows = data.draw(st.integers(1, 40))
    words = data.draw(st.lists(WORDS, min_size=rows, max_size=rows))
    size, start = data.draw(st.integers(1, 45)), data.draw(st.integers(0, 45))
    table = pd.DataFrame({"id": range(rows), "word": words, "more": 1.5})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        if data.draw(st.booleans()):
            table.to_parquet(path, row_group_size=data.draw(st.integers(1, 45)))
        else:
            table.to_csv(path, index=False)
        whole = read_file(path).columns
        chunks = read(path, ["word", "id"], size, start)
    for name in ("word", "id"):
        assert cells(chunks, name) == whole[name].array.to_pylist()[start:]
    assert [chunk.start for chunk in chunks] == list(range(start, rows, size))
    positions = np.concatenate([[], *(chunk.positions for chunk in chunks)])
    assert positions.tolist() == list(range(start, rows))


@given(
    st.lists(st.sampled_from(["good", "short", "long", "blank", "lines"]), max_size=60),
    st.integers(1, 20),
    st.integers(0, 30),
)
def test_rows_with_other_fields_keep_their_place(kinds, size, start):
    text = {
        "good": "{0},x",
        "short": "{0}",
        "long": "{0},x,y",
        "blank": "",
        "lines": '"{0}","x\ny"',
    }
    kinds = ["good", *kinds]
    lines = [text[kind].format(i) for i, kind in enumerate(kinds)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_text("\n".join(["id,word", *lines]) + "\n")
        chunks = read(path, ["id"], size, start)
    kept = [(i, kind) for i, kind in enumerate(kinds) if kind != "blank"]
    expected = {place: i for place, (i, kind) in enumerate(kept) if kind in ("good", "lines")}
    places = [int(place) for chunk in chunks for place in chunk.positions]
    refused = [place for chunk in chunks for place, _ in chunk.refused]
    assert dict(zip(places, map(int, cells(chunks, "id")), strict=True)) == {
        place: i for place, i in expected.items() if place >= start
    }
    assert sorted(places + refused) == list(range(start, len(kept)))
    for chunk in chunks:
        inside = [*chunk.positions, *(place for place, _ in chunk.refused)]
        assert sorted(inside) == list(range(chunk.start, chunk.stop))


def test_a_refused_row_says_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a;b\n1;2\n3;4;5\n6;7\n")
    (chunk,) = read(path, ["b"], 10)
    assert chunk.refused == ((1, "expected 2 fields, found 3: 3;4;5"),)


def test_a_block_boundary_loses_no_refused_row(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_BYTES", 64)
    path = tmp_path / "table.csv"
    rows = [f"{i},{'x' * (i % 7)}" if i % 3 else f"{i}" for i in range(500)]
    path.write_text("\n".join(["id,word", *rows]) + "\n")
    chunks = read(path, ["id"], 37)
    places = [int(place) for chunk in chunks for place in chunk.positions]
    assert list(map(int, cells(chunks, "id"))) == places == [i for i in range(500) if i % 3]
    assert [place for chunk in chunks for place, _ in chunk.refused] == list(range(0, 500, 3))


def test_one_column_is_a_table_and_its_blank_lines_are_rows(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("age\n1\n\n3\n")
    (chunk,) = read(path, ["age"], 10)
    assert chunk.columns["age"].array.to_pylist() == ["1", "", "3"]


def test_a_header_of_thousands_of_names_is_read_whole(tmp_path):
    path = tmp_path / "table.csv"
    names = [f"{400 + at / 8:.3f}" for at in range(9_000)]  # wavelengths, beyond 64 KiB
    path.write_text(f"{','.join(names)}\n{','.join(['1'] * 9_000)}\n")
    assert list(read_file(path).columns) == names
    (chunk,) = read(path, [names[-1]], 10)
    assert chunk.columns[names[-1]].array.to_pylist() == ["1"]


def test_a_table_without_rows_has_no_chunks(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n")
    pd.DataFrame({"a": [], "b": []}).to_parquet(tmp_path / "b.parquet")
    assert read(tmp_path / "a.csv", ["a"], 5) == read(tmp_path / "b.parquet", ["a"], 5) == []


def test_a_missing_column_is_named_with_the_closest(tmp_path):
    (tmp_path / "a.csv").write_text("distnce,b\n1,2\n")
    with pytest.raises(UsageError, match='no column "distance"; did you mean `distnce`'):
        stream.open_stream(tmp_path / "a.csv", ["distance"])


def test_damage_further_on_is_a_message(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"a": np.random.default_rng(0).random(20_000)}).to_parquet(path)
    content = bytearray(path.read_bytes())
    content[4:2_000] = b"\0" * 1_996
    path.write_bytes(content)
    with pytest.raises(UsageError, match="damaged Parquet"):
        read(path, ["a"], 5_000)
    (tmp_path / "b.csv").write_bytes(b"a,b\n" + b"1,2\n" * 3_000_000 + b"\xff,2\n")
    with pytest.raises(UsageError, match="line 3000002: expected UTF-8 text, found the byte 0xff"):
        read(tmp_path / "b.csv", ["a"], 1_000_000)


@pytest.mark.parametrize("rows", [3, 3_000_000], ids=["in one block", "over blocks"])
@pytest.mark.parametrize("end", ["\n", "", '""'], ids=["line end", "none", "quotes"])
def test_a_quote_that_is_never_closed_swallows_no_rows(tmp_path, rows, end):
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,2\n3,"4\n' + "5,6\n" * rows + "7,8" + end)
    with pytest.raises(UsageError, match="quote that is never closed"):
        read(path, ["a"], 1_000_000)
    with pytest.raises(UsageError, match="quote that is never closed"):
        read_file(path)


def test_nor_does_one_in_an_earlier_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('a,b,c\n1,2,3\n4,"5,6\n' + "7,8,9\n" * 100)
    with pytest.raises(UsageError, match="a quote that is never closed in row 2"):
        read(path, ["a"], 1_000)


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_last_value_of_several_lines_is_a_value(tmp_path, end):
    path = tmp_path / "a.csv"
    path.write_text(f'a,b\n1,"2\n3 ""four"" 5"{end}')
    (chunk,) = read(path, ["b"], 10)
    assert chunk.columns["b"].array.to_pylist() == ['2\n3 "four" 5']

# SPDX-License-Identifier: Apache-2.0
import requirements as tool


def run(tmp_path, text, capsys):
    (tmp_path / "test_x.py").write_text(text)
    status = tool.main([str(tmp_path)])
    return status, capsys.readouterr().out


def test_numbers():
    numbers = tool.all_numbers()
    assert "U1.1" in numbers and "U9" in numbers and "U14.9" in numbers
    assert "U9.1" not in numbers and "U11.1" not in numbers and "U5.11" not in numbers
    assert tool.numbers_in("# U5.3, U9: and U14.1; XU1.1 U5.3.1") == ["U5.3", "U9", "U14.1"]


def test_only_tests_count(tmp_path, capsys):
    status, out = run(tmp_path, "# U1.1\ndef helper():  # U1.2\n    pass\n\n\ndef test_a():  # U1.3\n    # U1.4\n    pass\n", capsys)
    assert status == 1
    assert "U1.1: no" in out and "U1.2: no" in out and "U1.3: no" not in out and "U1.4: no" not in out


def test_marks_and_docstrings_count(tmp_path, capsys):
    text = 'import pytest\n\n\n@pytest.mark.x("U2.1: so")\ndef test_a():\n    """U2.2"""\n'
    out = run(tmp_path, text, capsys)[1]
    assert "U2.1: no" not in out and "U2.2: no" not in out


def test_a_docstring_of_a_file_counts(tmp_path, capsys):
    out = run(tmp_path, '"""All of U2.3."""\n\n\ndef test_a():\n    pass\n', capsys)[1]
    assert "U2.3: no" not in out and "U2.2: no" in out


def test_all_named(tmp_path, capsys):
    text = "def test_a():\n" + "".join(f"    # {n}\n" for n in tool.all_numbers()) + "    pass\n"
    status, out = run(tmp_path, text, capsys)
    assert status == 0
    assert all(f"{n}: has a test now" in out for n in tool.WAITING)


def test_a_number_that_is_none(tmp_path, capsys):
    text = "def test_a():  # U5.99\n" + "".join(f"    # {n}\n" for n in tool.all_numbers()) + "    pass\n"
    status, out = run(tmp_path, text, capsys)
    assert status == 1 and "U5.99: there is no such requirement" in out

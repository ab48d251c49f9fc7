from reidgen.report.html.markup import Markup, data_uri, join, prose, table, tag


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "a < b & c", tag("b", "x")) == "<p>a &lt; b &amp; c<b>x</b></p>"
    assert tag("p", '<script>alert("x")</script>') == '<p>&lt;script&gt;alert("x")&lt;/script&gt;</p>'


def test_what_stands_between_backticks_is_code():
    assert prose("type `a < b` and go") == "type <code>a &lt; b</code> and go"
    assert prose("nothing of it") == "nothing of it"


def test_attributes_are_escaped_and_named():
    made = tag("img", alt='a "quoted" <name>', class_="wide", aria_label="x", title=None)
    assert made == '<img alt="a &quot;quoted&quot; &lt;name&gt;" class="wide" aria-label="x">'


def test_children_may_be_lists_numbers_and_nothing():
    assert join([["a", None, 3], Markup("<br>")]) == "a3<br>"


def test_a_table_sets_numbers_right_and_titles_its_rows():
    made = table(["", "n"], [["x", "1"]], rule=0)
    assert '<tr class="ruled"><th scope="row">x</th><td class="number">1</td></tr>' in made
    assert '<th class="number" scope="col">n</th>' in made


def test_a_data_address_holds_the_bytes():
    assert data_uri(b"abc", "image/png") == "data:image/png;base64,YWJj"

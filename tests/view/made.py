"""Tables of the page's tests, and a client that has been let in."""

from reidgen.data.provenance import Rendering, Style, Translation, View
from reidgen.files import file_sha256
from reidgen.view.app import Answers, application
from reidgen.view.journal import Journal
from reidgen.view.shown import Shown
from tests.factories import make_table

TOKEN, PORT = "a-token", 4321
MARK = {"X-Reidgen": "1", "Origin": "http://127.0.0.1"}


def written(folder, pids, camids=None, **more):
    """A table of so many people's crops in a folder, with its files."""
    table = make_table(pids, camids, root=folder, name=folder.name, **more)
    table.write_metadata(folder)
    return table


def family(folder):
    """Two tables: people, two of them rendered; and what was made of person 1: moved, turned, a variant."""
    said = [str(Rendering(0, 1, camera, 0, (32, 16), "walk")) for camera in (1, 2)]
    people = written(
        folder / "people", [1, 1, 2, 3], origin=["rendered"] * 2 + ["real"] * 2, operation=[*said, None, None]
    )
    content = file_sha256(people.paths[0])[:16]
    operations = [
        str(Translation(1, 2, content, 0, 95)),
        str(View(180, "mesh", content, "1" * 16, 95)),
        str(View(90, "mesh", content, "1" * 16, 95)),
        str(Style("stylegan3-r", 7, 1, 0.7, 95, layers=(2, 3), donor=9)),
    ]
    made = {"origin": ["generated"] * 4, "operation": operations, "generator": ["abcdef0123"] * 4}
    written(folder / "moved", [1, 1, 1, 9], parent=[people.rows["file_name"][0]] * 4, **made)
    return [folder / "people", folder / "moved"]


def answers_of(folders, *, out=None, who="anna", **more):
    shown = Shown.read(folders)
    return Answers(shown, journal=None if out is None else Journal(out, shown, who), **more)


def client_of(answers, *, admitted=True):
    client = application(answers, token=TOKEN, port=PORT).test_client()
    if admitted:
        assert client.get(f"/?token={TOKEN}", base_url="http://127.0.0.1").status_code == 302
    return Local(client)


class Local:
    """A client that asks as the page does: of 127.0.0.1, with its mark."""

    def __init__(self, client):
        self.client = client

    def get(self, address, **more):
        return self.client.get(address, base_url="http://127.0.0.1", **more)

    def post(self, address, json=None, **more):
        return self.client.post(address, json=json, base_url="http://127.0.0.1", **{"headers": MARK, **more})

"""The four ways of using turned people: views by angle, and features of mask images beside those of crops."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from reidgen.backbones.reid_model import load_reid
from reidgen.config import UnsupervisedConfig
from reidgen.data.augment import normalise
from reidgen.data.pixels.images import read_rgb
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine.checkpoint import load_state, save_state
from reidgen.engine.devices.device import setup
from reidgen.errors import ConfigError, DataError
from reidgen.models.reid.part_embedder import Parted
from reidgen.reid.unsupervised.cluster_training import UnsupervisedTraining
from reidgen.reid.unsupervised.crops import Crops
from reidgen.reid.unsupervised.mask_images import Combination
from reidgen.reid.unsupervised.train_unsupervised import train_unsupervised
from tests.factories import make_table, write_crop
from tests.forked import python
from tests.reid.unsupervised.conftest import TINY, people
from tests.reid.unsupervised.test_train import PROGRAM, records

ANGLES = (90, 180)
END = "crop=0000000000000000 shape=1111111111111111 jpeg=95"
VIEWED = replace(TINY, views="sequential", view_angles=ANGLES, epochs=2)
MESH = replace(TINY, mesh="learned")


def operation(angle):
    return f"view angle={angle} structure=mesh {END}"


def with_bodies(root):
    """People with masks on their left half, and bodies on their upper half."""
    table = people(root)
    left, upper = np.zeros((2, 32, 16), np.uint8)
    left[:, :8], upper[:16] = 255, 90
    (root / "maps").mkdir()
    for name, shape in (("left", left), ("upper", upper)):
        Image.fromarray(shape).save(root / "maps" / f"{name}.png")
    train = pl.col("split") == "train"
    columns = {
        name: pl.when(train).then(pl.lit(f"maps/{shape}.png")).otherwise(None)
        for name, shape in (("mask", "left"), ("mesh_0", "upper"))
    }
    return ReidTable(table.rows.with_columns(**columns), table.name)


@pytest.fixture(scope="module")
def bodied(tmp_path_factory):
    return with_bodies(tmp_path_factory.mktemp("bodied"))


def turned(table, root, angles=(0, *ANGLES)):
    """Each train crop turned by each angle: other pictures, of which those of one crop are alike."""
    names = [name for name in table.train.rows["file_name"] for _ in angles]
    count, each = len(names), len(angles)
    views = make_table(
        *([9] * count, [3] * count),
        root=root,
        origin=["generated"] * count,
        parent=names,
        operation=[operation(angle) for _ in range(count // each) for angle in angles],
    )
    for row, path in enumerate(views.paths):
        write_crop(path, seed=1000 + row // each // 6)
    return views


@pytest.fixture(scope="module")
def views(bodied, tmp_path_factory):
    return turned(bodied, tmp_path_factory.mktemp("turned"))


def spans(**changes):
    return [(use.kind, use.way, use.first, use.last) for use in UnsupervisedConfig(**changes).uses]


def test_views_are_a_schedule():
    assert spans(view_angles=(90,)) == []
    assert spans(views="simple", view_angles=(90, 180)) == [
        ("view angle=90 ", "cluster", 0, None),
        ("view angle=180 ", "cluster", 0, None),
    ]
    assert spans(views="inject", view_angles=(270,)) == [("view angle=270 ", "parent", 0, None)]
    published = spans(views="sequential", epochs=100, view_epochs=25)
    assert [span[0] for span in published] == [f"view angle={angle} " for angle in (135, 270, 90, 180)]
    assert [span[2:] for span in published] == [(0, 25), (25, 50), (50, 75), (75, None)]
    assert [span[2:] for span in spans(views="sequential", epochs=50)] == [(0, 12), (12, 25), (25, 37), (37, None)]
    both = spans(views="inject", view_angles=(1,), generated_use=("translation:cluster:3-",))
    assert both == [("view angle=1 ", "parent", 0, None), ("translation", "cluster", 3, None)]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"views": "sequential", "epochs": 3}, "over before all view_angles"),
        ({"views": "sequential", "epochs": 99, "view_epochs": 25}, r"got: epochs=99, 4 angles of 25[\s\S]*epochs=100"),
        ({"view_angles": ()}, "view_angles"),
        ({"view_angles": (90, 90)}, "each once"),
        ({"view_angles": (0,)}, "1 to 359"),
        ({"view_epochs": 0}, "view_epochs"),
        ({"mesh_weights": (2.0, 0.0)}, "mesh_weights"),
        ({"mesh_weights": (float("nan"), 1.0)}, "mesh_weights"),
    ],
)
def test_ways_that_cannot_be_are_an_error(changes, text):
    with pytest.raises(ConfigError, match=text):
        UnsupervisedConfig(**changes)


def test_crops_of_an_angle_are_there_in_its_epochs_alone():
    real = make_table([1, 1, 2])
    names = real.rows["file_name"].to_list()
    operations = [operation(angle) for angle in (9, 90, 9, 180)]
    columns = {"origin": ["generated"] * 4, "parent": [*names, names[0]], "operation": operations}
    made = make_table([7] * 4, **columns)

    def active(epoch, **changes):
        return [rows.tolist() for rows in Crops.of(real, made, UnsupervisedConfig(**changes)).active(epoch)]

    assert active(0, views="simple", view_angles=(9,)) == [[0, 1, 2, 3, 4], []]  # two of 9; 90 begins with 9 too
    assert active(7, views="inject", view_angles=(90, 180)) == [[0, 1, 2], [3, 4]]
    order = {"views": "sequential", "view_angles": (180, 9), "view_epochs": 2, "epochs": 5}
    assert [active(epoch, **order)[0][3:] for epoch in range(5)] == [[5], [5], [3, 4], [3, 4], [3, 4]]


def test_crops_of_other_angles_are_no_part_of_it(bodied, views):
    crops = Crops.of(bodied, views, replace(VIEWED, views="simple", view_angles=(90,)))
    assert crops.facts()["generated_images"] == 30
    assert set(crops.table.rows["operation"][30:]) == {operation(90)}


def test_angles_that_the_table_lacks_are_told(bodied, views):
    with pytest.raises(ConfigError, match=r"turned by 45 degrees[\s\S]*got: crops turned by 0, 90, 180"):
        Crops.of(bodied, views, UnsupervisedConfig(views="simple", view_angles=(90, 45)))
    with pytest.raises(ConfigError, match=r"got: no turned crops"):
        Crops.of(bodied, None, UnsupervisedConfig(views="inject", view_angles=(90,)))


def test_views_by_name_and_by_texts_are_one_training(bodied, views, tmp_path):
    texts = ("view angle=90 :cluster:0-1", "view angle=180 :cluster:1-")
    by_text = replace(VIEWED, views="none", generated_use=texts)
    left, right = (
        train_unsupervised(bodied, config, generated=views, out=tmp_path / str(n)).network.state_dict()
        for n, config in enumerate((VIEWED, by_text))
    )
    assert all(left[name].equal(right[name]) for name in left)


def by_hand(table, views, source):
    """The mask images of all train crops, pixel by pixel."""
    out = []
    column = "mask" if source == "mask" else "mesh_0"
    made = dict(zip(views.rows["parent"], views.paths, strict=True)) if source == "standing" else {}
    for root, name, shape in table.train.rows.select("root", "file_name", column).iter_rows():
        picture = np.array(read_rgb(made.get(name, Path(root, name))))
        where = np.array(read_rgb(Path(root, shape)))[:, :, 0]
        for y in range(32):
            for x in range(16):
                if where[y, x] < (128 if column == "mask" else 1):
                    picture[y, x] = 0
        out.append(picture)
    return np.stack(out)


@pytest.mark.parametrize("source", ["mask", "mesh", "standing"])
def test_mask_images_show_the_person_alone(bodied, views, source):
    config = replace(TINY, mesh="fixed", mesh_image=source)
    stand = views.where(pl.col("operation") == operation(0))
    crops = Crops.of(bodied, stand if source == "standing" else None, config)
    assert len(crops.table) == 30
    masks = crops.masks.open(CropStore.open(crops.table, size=(32, 16)))
    found = masks.batch(np.arange(29, -1, -1)).permute(0, 2, 3, 1).numpy()[::-1]
    assert (found == by_hand(bodied, stand, source)).all()
    assert found.any()
    assert not (found == masks.crops.images).all()


def test_whole_crops_where_there_is_no_mask_image(bodied, views, capsys):
    some = pl.when(pl.int_range(pl.len()) % 3 == 1).then(None).otherwise(pl.col("mask"))
    table = ReidTable(bodied.rows.with_columns(mask=some))
    config = replace(VIEWED, mesh="fixed", mesh_missing="crop")
    crops = Crops.of(table, views, config)
    assert "10 of 30 crops have no mask image" in capsys.readouterr().err
    masks = crops.masks.open(CropStore.open(crops.table, size=(32, 16)))
    rows = np.array([1, 0, 40, 28])
    found = masks.batch(rows).permute(0, 2, 3, 1).numpy()
    whole = masks.crops.images[rows]
    assert (found[[0, 2, 3]] == whole[[0, 2, 3]]).all()  # 1 and 28 have no mask, 40 is generated
    assert (found[1] == by_hand(bodied, views, "mask")[0]).all()
    with pytest.raises(DataError, match=r"got: 10 of 30 crops have no mask image, such as .*\n[\s\S]*mesh_missing"):
        Crops.of(table, views, replace(config, mesh_missing="error"))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("mask", r"needs a mask of each crop[\s\S]*30 of 30[\s\S]*--what mask "),
        ("mesh", "--what body mesh"),
        ("standing", "generate rotate .*--angles 0"),
    ],
)
def test_without_any_mask_image_there_is_no_training(bodied, views, source, text):
    bare = ReidTable(bodied.rows.drop("mask", "mesh_0")) if source != "standing" else bodied
    config = replace(VIEWED, mesh="fixed", mesh_image=source, mesh_missing="crop")
    with pytest.raises(DataError, match=text):
        Crops.of(bare, views.where(pl.col("operation") != operation(0)), config)


def test_another_mask_is_another_run(bodied):
    config = replace(TINY, mesh="fixed")
    first = Crops.of(bodied, None, config).masks.hash()
    moved = ReidTable(bodied.rows.with_columns(mask=pl.col("mesh_0")))
    assert Crops.of(moved, None, config).masks.hash() != first
    assert Crops.of(bodied, None, replace(config, mesh_image="mesh")).masks.hash() != first


def made(config, table, views=None):
    return UnsupervisedTraining(config, setup("cpu"), Crops.of(table, views, config))


def test_features_are_the_weighted_mean_of_crop_and_mask_image(bodied, views):
    """Two to one, for crop and stripes alike; those of a generated crop are its own."""
    training = made(replace(VIEWED, mesh="fixed", mesh_image="mesh"), bodied, views)
    rows = np.array([0, 13, 29, 30, 61])
    found = training._features(rows)
    training.network.eval()
    for row, mixed in zip(rows, found, strict=True):
        crop = training.store.batch([row])
        mask = crop.clone()
        if row < 30:
            mask[:, :, 16:] = 0
        vectors = []
        for picture in (crop, mask):
            with torch.no_grad():
                one = training.network(normalise(picture))
            vectors.append(torch.cat([one.embedding, one.parts[0]]))
        mean = (2 * vectors[0] + vectors[1]) / 3
        torch.testing.assert_close(mixed, mean / mean.norm(dim=1, keepdim=True))


def test_whole_masks_change_no_feature(bodied):
    root = bodied.rows["root"][0]
    Image.fromarray(np.full((32, 16), 255, np.uint8)).save(f"{root}/maps/whole.png")
    whole = ReidTable(bodied.rows.with_columns(mask=pl.lit("maps/whole.png")))
    rows = np.arange(30)
    torch.testing.assert_close(made(MESH, whole)._features(rows), made(TINY, bodied)._features(rows))


def test_the_weights_are_learned_or_not(bodied, tmp_path):
    for mesh in ("fixed", "learned"):
        train_unsupervised(bodied, replace(TINY, mesh=mesh), out=tmp_path / mesh)
    fixed, learned = ([line["crop_weight"] for line in records(tmp_path / mesh)] for mesh in ("fixed", "learned"))
    assert fixed == [0.666667] * 3
    assert len(set(learned)) == 3
    assert abs(learned[0] - 2 / 3) < 2 * 2 * TINY.lr  # two steps of Adam, each at most about lr, by a slope below 1/4
    assert made(TINY, bodied).combination is None


def test_one_step_of_the_weights_by_hand():
    """With two to one the share is s = 2/3, and of the loss m = s c + (1 - s) k the slope s (1 - s) (c - k)."""
    config = replace(MESH, optimizer="sgd", lr=0.1)
    combination = Combination(config, torch.device("cpu"))
    out = Parted(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.zeros(2, 0, 2))
    mixed = combination(out)
    torch.testing.assert_close(mixed.embedding, torch.tensor([[5 / 3, 5.0]]))
    mixed.embedding[0, 0].backward()
    combination.step(0.1, setup("cpu"))
    slope = 2 / 9 * (1 - 3)
    assert combination.balance.item() == pytest.approx(np.log(2) - 0.1 * 1.9 * slope, rel=1e-6)  # Nesterov's first step
    assert combination.balance.grad is None


def test_the_network_that_is_left_sees_crops_alone(bodied, tmp_path):
    """The source evaluates the features of query and gallery crops, which have no mask images here."""
    found = train_unsupervised(bodied, MESH, out=tmp_path)
    training = made(MESH, bodied)
    for _ in range(MESH.epochs * MESH.epoch_steps):
        training.advance()
    training.network.eval()
    with torch.no_grad():
        own = training.network(normalise(training.store.batch(np.arange(30)))).embedding
    torch.testing.assert_close(found.embed(bodied.train, flip="none"), own)
    assert load_reid(tmp_path, device="cpu").embed(bodied.query).shape == (2, 8)
    assert not any("balance" in name for name in load_file(tmp_path / "reid.safetensors"))


ALL = replace(VIEWED, mesh="learned", mesh_image="standing", accumulate=2)


def test_a_training_stopped_anywhere_goes_on_with_the_same_bits(bodied, views, tmp_path):
    train_unsupervised(bodied, ALL, generated=views, out=tmp_path)
    one = made(ALL, bodied, views)
    for _ in range(4):
        one.advance()
        save_state(tmp_path / "state.safetensors", one.state())
        other = made(ALL, bodied, views)
        other.load(load_state(tmp_path / "state.safetensors"))
        one = other
    weights, _ = one.chosen()
    left = load_file(tmp_path / "reid.safetensors")
    assert all(weights[name].equal(left[name]) for name in left)
    assert records(tmp_path)[-1]["crop_weight"] == round(one.combination.share, 6)


def test_no_weight_depends_on_a_label(bodied, views, tmp_path):
    train = pl.col("split") == "train"
    strange = pl.when(train).then(pl.int_range(pl.len()) % 4 + 1).otherwise(pl.col("pid"))
    left, right = (
        train_unsupervised(table, ALL, generated=views, out=tmp_path / str(n)).network.state_dict()
        for n, table in enumerate((bodied, ReidTable(bodied.rows.with_columns(pid=strange))))
    )
    assert all(left[name].equal(right[name]) for name in left)
    assert records(tmp_path / "0")[0]["purity"] != records(tmp_path / "1")[0]["purity"]


@pytest.mark.slow
def test_one_process_and_two_give_the_same(bodied, tmp_path):
    rows, root = bodied.rows.drop("root").to_dicts(), str(bodied.rows["root"][0])
    for devices in (1, 2):
        config = replace(MESH, devices=devices, epochs=2, optimizer="sgd", lr=0.01)
        script = tmp_path / f"train{devices}.py"
        script.write_text(PROGRAM.format(rows=rows, root=root, config=config))
        done = subprocess.run([python(), script, tmp_path / str(devices)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    one, two = (records(tmp_path / str(devices)) for devices in (1, 2))
    assert one[-1]["crop_weight"] == pytest.approx(two[-1]["crop_weight"], abs=2e-6)
    assert abs(one[-1]["crop_weight"] - 2 / 3) > 1e-5
    left, right = (load_file(tmp_path / str(devices) / "reid.safetensors") for devices in (1, 2))
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-5, atol=1e-5)

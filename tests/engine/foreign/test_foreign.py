"""Foreign weight files are read as data: all that a real file holds, nothing that a malicious one asks for."""

import io
import itertools
import os
import pickle
import pickletools
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidgen.engine import foreign
from reidgen.engine.foreign import MAX_DEPTH, module_tensors, read_foreign
from reidgen.engine.foreign.pickle_budget import MAX_OPCODES, Budget, Record, Refused
from reidgen.errors import WeightsError
from tests.foreign_files import Call, EasyDict, Persistent, module, upstream_modules, upstream_pickle

BASE = torch.arange(12.0).view(3, 4)
VALUES = {
    "float": torch.randn(2, 3, generator=torch.Generator().manual_seed(0)),
    "rows": BASE,
    "columns": BASE.t(),
    "part": BASE[1:, 2:],
    "half": torch.ones(3).half(),
    "bfloat16": torch.full((3,), 1.5).bfloat16(),
    "int": torch.tensor(3),
    "empty": torch.empty(0, 4),
    "bool": torch.tensor([True, False]),
    "parameter": torch.nn.Parameter(torch.zeros(2)),
    "ordered": OrderedDict(x=1, y=OrderedDict()),
    "list": [1, 2.5, None, True, -7, 2**70, "ü" * 300, b"\x00\xff" * 200],
    "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    "sets": {1, "a"},
    "frozen": frozenset([3]),
    1: {"size": torch.Size([2, 3])},
}
ARRAYS = {
    "rows": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">i4"),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "none": np.asarray(5.0),
    "repeated": np.broadcast_to(np.asarray(5), [2]),
    "scalars": [np.float64(1.5), np.float32(0.1), np.int64(3), np.bool_(True)],
}


def same(a, b):
    """Equal in value, type and format, all the way down."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a.detach(), b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(same, a, b))
    return a == b


def read(data, folder):
    path = folder / "file.pkl"
    path.write_bytes(data)
    return read_foreign(path)


def refusal(data, folder):
    """Why a file is not read."""
    with pytest.raises(WeightsError) as error:
        read(data, folder)
    return error.value.got


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_gives_what_pickle_gives(protocol, tmp_path):
    for content in (VALUES, ARRAYS):
        data = pickle.dumps(content, protocol=protocol)
        assert same(pickle.loads(data), read(data, tmp_path))


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_save(zipped, tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    for content in (VALUES, network.state_dict()):
        torch.save(content, tmp_path / "file.pt", _use_new_zipfile_serialization=zipped)
        assert same(content, read_foreign(tmp_path / "file.pt"))


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_can_be_written_to_and_share_what_they_shared(zipped, tmp_path):
    torch.save({"rows": BASE, "columns": BASE.t()}, tmp_path / "file.pt", _use_new_zipfile_serialization=zipped)
    content = read_foreign(tmp_path / "file.pt")
    content["rows"][0, 1] = 99
    assert content["columns"][1, 0] == 99


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_persistent_network_becomes_records_without_its_source(protocol, tmp_path):
    weights = {"mapping.fc0.weight": torch.ones(2, 3), "mapping.w_avg": torch.zeros(2), "b4.const": torch.ones(1)}
    content = EasyDict(G=module(weights, buffers=("w_avg",), z_dim=3), extra=EasyDict(resolution=np.int64(4)))
    got = read(upstream_pickle(content, protocol=protocol), tmp_path)
    assert isinstance(got["G"], Record)
    assert got["G"].name == "Generator"
    assert got["G"].state["_init_kwargs"] == {"z_dim": 3}
    assert got["extra"] == {"resolution": 4}
    tensors = module_tensors(got["G"])
    assert same(weights, {name: tensors.pop(name) for name in weights})
    assert tensors == {}
    assert "SystemExit" not in repr(got)


# -- harm --------------------------------------------------------------------------------------------------------------


def touch(path):
    """Text of a program that would leave a file behind."""
    return f"open({str(path)!r}, 'w').close()"


def harmful(canary):
    """Known ways to make a pickle run something: name -> (bytes, what the refusal must name)."""
    shell, python = f"touch {canary}", touch(canary)
    calls = {
        "os.system": Call(os.system, shell),
        "subprocess": Call(subprocess.Popen, ["touch", str(canary)]),
        "eval": Call(eval, python),
        "exec": Call(exec, python),
        "getattr": Call(getattr, Path(canary), "touch"),
        "import": Call(__import__, "os"),
        "open": Call(open, str(canary), "w"),
        "type": Call(type, "X", (), {}),
    }
    functions = ("posix.system", ".Popen", ".eval", ".exec", ".getattr", ".__import__", "io.open", ".type")
    named = dict(zip(calls, functions, strict=True))
    cases = {f"{name} {p}": (pickle.dumps(calls[name], p), named[name]) for name in calls for p in (2, 4)}
    line = shell.encode()
    cases |= {
        "protocol 0": (b"cos\nsystem\n(S'" + line + b"'\ntR.", "os.system"),
        "INST": (b"(S'" + line + b"'\nios\nsystem\n.", "os.system"),
        "OBJ": (b"(cos\nsystem\nS'" + line + b"'\no.", "os.system"),
        "NEWOBJ": (b"\x80\x02cos\nsystem\nU" + bytes([len(line)]) + line + b"\x85\x81.", "os.system"),
        "STACK_GLOBAL": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01a\x85R.", "os.system"),
        "a name in parts": (b"\x80\x04\x8c\x08builtins\x8c\x0egetattr.__call\x93.", "builtins.getattr.__call"),
        "EXT1": (b"\x80\x02\x82\x01)R.", "number 1 of Python's extension registry"),
        "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00)R.", "number 1 of Python's extension registry"),
        "PERSID": (b"Pos.system\n.", "persistent id"),
        "BINPERSID": (b"\x80\x02U\x09os.systemQ.", "persistent id"),
        "BUILD of a function's dict": (b"ccollections\nOrderedDict\n}(S'__reduce__'\ncos\nsystem\nub.", "os.system"),
        "BUILD of a name": (b"ctorch\nFloatStorage\n}b.", "a state for torch.FloatStorage"),
        "REDUCE of a text": (b"S'os.system'\n(S'x'\ntR.", "a call of a value of type str"),
        "REDUCE of a mere name": (b"cnumpy\nndarray\n(I100000000000\ntR.", "a call of numpy.ndarray"),
        "torch.load": (b"ctorch\nload\n(S'x'\ntR.", "torch.load"),
        "a module of torch": (b"ctorch.nn.modules.linear\nLinear\n)\x81.", "torch.nn.modules.linear.Linear"),
        "an object type": (b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR.", "numpy array of another type"),
        "bad codec": (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "_codecs.encode with odd arguments"),
    }
    storage = "torch.storage._load_from_bytes"
    bomb = pickle.dumps(Call(os.system, shell), 2)
    real = io.BytesIO()
    torch.save(torch.ones(2).untyped_storage(), real, _use_new_zipfile_serialization=False)
    zipped = io.BytesIO()
    torch.save({"x": Call(os.system, shell)}, zipped)
    legacy = io.BytesIO()
    torch.save({"x": Call(os.system, shell)}, legacy, _use_new_zipfile_serialization=False)
    cases |= {
        "in a storage": (pickle.dumps(Call(torch.storage._load_from_bytes, bomb)), "posix.system"),
        "a storage in a storage in a storage": (
            nested(torch.storage._load_from_bytes, real.getvalue(), 3),
            f"{storage} with odd arguments",
        ),
        "a storage that is none": (pickle.dumps(Call(torch.storage._load_from_bytes, b"N.")), storage),
        "in a zip": (zipped.getvalue(), "posix.system"),
        "in a legacy file": (legacy.getvalue(), "posix.system"),
        "in a persistent object's state": (
            upstream_pickle(Persistent("G", {"_modules": Call(os.system, shell)})),
            "posix.system",
        ),
        "a persistent object of another kind": (
            upstream_pickle(Call(foreign_function(), {"type": "function", "module_src": python})),
            "_reconstruct_persistent_obj with odd arguments",
        ),
    }
    return cases


def nested(function, data, depth):
    for _ in range(depth):
        data = pickle.dumps(Call(function, data), 2)
    return data


def foreign_function():
    with upstream_modules():
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj


@pytest.mark.parametrize("case", harmful(Path("x")))
def test_known_malicious_pickles_do_nothing_and_are_named(case, tmp_path):
    canary = tmp_path / "canary"
    data, named = harmful(canary)[case]
    imported = set(sys.modules)
    assert named in refusal(data, tmp_path)
    assert set(sys.modules) == imported
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.pkl"]


def test_the_malicious_pickles_are_malicious(tmp_path):
    """Python's own unpickler does run them; otherwise the test above would say little."""
    canary = tmp_path / "canary"
    cases = harmful(canary)
    for case in ("os.system 4", "exec 2", "protocol 0", "INST", "OBJ", "in a storage"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.storage, "_load_from_bytes", pickle.loads)
            pickle.loads(cases[case][0])
        assert canary.exists(), case
        canary.unlink()


def test_the_source_that_a_network_carries_is_neither_run_nor_kept(tmp_path):
    canary = tmp_path / "canary"
    state = {"_parameters": {"w": torch.ones(1)}, "_buffers": {}, "_modules": {}}
    got = read(upstream_pickle(Persistent("Generator", state, source=touch(canary))), tmp_path)
    assert same({"w": torch.ones(1)}, module_tensors(got))
    assert not canary.exists()


def test_a_tensorflow_pickle_is_told_what_to_do(tmp_path):
    got = refusal(b"\x80\x03cdnnlib.tflib.network\nNetwork\nq\x00)\x81q\x01.", tmp_path)
    assert "StyleGAN's TensorFlow version (dnnlib.tflib.network.Network)" in got
    assert "PyTorch pickle" in got


def test_names_are_shown_short_and_printable(tmp_path):
    assert refusal(b"c\x1b[31mos\n" + b"x" * 5000 + b"\n.", tmp_path).startswith("it asks for '\\x1b[31mos.xxx")
    assert len(refusal(b"c\x1b[31mos\n" + b"x" * 5000 + b"\n.", tmp_path)) < 180


# -- damage, and files that lie ----------------------------------------------------------------------------------------


def tensor_call(size, stride, *, offset=0, numel=2):
    """A pickle of a tensor of a given description on a storage of two floats."""
    stream = io.BytesIO()
    torch.save(torch.ones(numel).untyped_storage(), stream, _use_new_zipfile_serialization=False)
    storage = Call(torch.storage._load_from_bytes, stream.getvalue())
    arguments = (storage, offset, size, stride, False, OrderedDict(), torch.float32)
    return pickle.dumps(Call(torch._utils._rebuild_tensor_v3, *arguments), 2)


def test_a_tensor_must_fit_its_storage(tmp_path):
    assert torch.equal(read(tensor_call((2,), (1,)), tmp_path), torch.ones(2))
    for size, stride, offset in [
        ((3,), (1,), 0),
        ((2,), (1,), 1),
        ((2,), (2,), 0),
        ((2**40,), (0,), 0),
        ((2**40, 0), (0, 0), 10**12),
        ((2,), (1,), -1),
        ((-1,), (1,), 0),
        ((2,), (1, 1), 0),
        (("a",), (1,), 0),
        ((2,), (2**70,), 0),
    ]:
        got = refusal(tensor_call(size, stride, offset=offset), tmp_path)
        assert got == "a tensor whose description does not fit its numbers", (size, stride, offset)


def test_odd_arguments_of_what_is_allowed():
    """Arrays and tensors in the place of numbers and texts, whose comparison is not a truth value."""
    odd = [np.arange(3), torch.arange(3), {}, [], 3, "x", None, b"x"]
    functions = [
        torch._utils._rebuild_tensor_v2,
        torch._utils._rebuild_parameter,
        torch.storage._load_from_bytes,
        np.zeros(1).__reduce__()[0],
        np.float32(1).__reduce__()[0],
        np.dtype,
        OrderedDict,
        set,
        torch.Size,
        foreign_function(),
    ]
    states = (None, np.arange(3), {"x": np.arange(3)}, (1, np.arange(3), np.arange(3), 0, 0))
    refused = 0
    for function, count, value, state in itertools.product(functions, (1, 2, 3, 6), odd, states):
        with upstream_modules():
            data = pickle.dumps(Call(function, *[value] * count, state=state), 2)
        try:
            foreign._read(data)
        except Refused:
            refused += 1
    assert refused > 1000


def test_lying_lengths_allocate_nothing(tmp_path):
    lies = [
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
        b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",
        b"\x80\x04\x8d" + b"\xff" * 8 + b".",
        b"\x80\x02X\xff\xff\xff\x7fa.",
        b"\x80\x02\x8b\xff\xff\xff\x7fa.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN",
    ]
    for data in lies:
        began = time.process_time()
        refusal(data, tmp_path)
        assert time.process_time() - began < 0.5


def test_streams_cannot_be_read_again_and_again(tmp_path):
    """One long storage, asked for a thousand times, costs no more than the file's length."""
    inner = io.BytesIO()
    torch.save(torch.ones(10_000).untyped_storage(), inner, _use_new_zipfile_serialization=False)
    data = pickle.dumps(inner.getvalue(), 2)[:-1]  # the bytes on the stack, in the memo as number 1 or so
    loads = b"0(" + b"ctorch.storage\n_load_from_bytes\nh\x03\x85R" * 1000 + b"t."
    got = refusal(data + b"r\x03\x00\x00\x00" + loads, tmp_path)
    assert got.startswith("more nested than a file of its length can hold")


LONG = pickle.dumps("x" * 1_000_000, 4)[:-1].replace(b"\x94", b"") + b"q\x00"  # a text on the stack and in the memo
MANY = b"\x80\x04]q\x00(" + b"K\x01" * 200_000 + b"e"  # a list of one number, many times
BOMBS = {  # a short name of a call, many times, of something long
    "bytes": LONG + b"0c_codecs\nencode\nq\x01h\x00\x8c\x06latin1\x86q\x020" + b"h\x01h\x02R0" * 100_000 + b"N.",
    "sets": MANY + b"0cbuiltins\nset\nq\x01h\x00\x85q\x020" + b"h\x01h\x02R0" * 100_000 + b"N.",
    "sizes": MANY + b"0ctorch\nSize\nq\x01h\x00\x85q\x020(" + b"h\x01h\x02R" * 100_000 + b"t.",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_copies_are_paid_by_bytes(kind, tmp_path):
    """A megabyte that is copied a hundred thousand times: refused when 64 MiB and eight times the file are spent."""
    spent = Budget.of(len(BOMBS[kind])).memory
    assert spent < 100 * 2**20
    assert refusal(BOMBS[kind], tmp_path).startswith("more memory than a file of its length can hold")


def test_long_keys_are_refused(tmp_path):
    """Two equal texts of a megabyte take long to compare, and a dict does so at each step."""
    assert refusal(LONG + b"0}h\x00Ns.", tmp_path) == "a text of 1,000,000 letters as a key"


def test_too_many_steps(tmp_path):
    assert refusal(b"N0" * (MAX_OPCODES // 2) + b"N.", tmp_path).startswith("more opcodes")


def test_deep_nesting_is_refused(tmp_path):
    assert isinstance(read(b")" + b"\x85" * (MAX_DEPTH - 1) + b".", tmp_path), tuple)
    assert refusal(b")" + b"\x85" * 200_000 + b".", tmp_path) == "containers nested beyond reason"
    assert refusal(b"\x80\x02]q\x00h\x00a.", tmp_path) == "containers nested beyond reason"  # a list that holds itself
    assert refusal(b"(" * 200_000 + b".", tmp_path).startswith("a stack that does not come out even")


def test_keys_that_would_hash_slowly(tmp_path):
    shared = b")" + b"\x86".join([b"2"] * 40)  # a tuple of two of a tuple of two ... whose hash takes 2**39 steps
    assert refusal(b"\x80\x02}" + shared + b"\x86Ns.", tmp_path) == "a value of type tuple as a key"
    clash = 2**61 - 1
    assert refusal(pickle.dumps({clash: 1}), tmp_path) == "a value of type int as a key"


def test_a_network_that_contains_itself_many_times(tmp_path):
    inner = Persistent("G", {"_parameters": {}, "_buffers": {}, "_modules": {}})
    for _ in range(40):
        inner = Persistent("G", {"_parameters": {}, "_buffers": {}, "_modules": {"a": inner, "b": inner}})
    got = read(upstream_pickle(inner), tmp_path)
    began = time.process_time()
    with pytest.raises(Refused, match="nested beyond reason"):
        module_tensors(got)
    assert time.process_time() - began < 5


SMALL = upstream_pickle(EasyDict(G=module({"fc.weight": torch.ones(2), "w": torch.zeros(1)}, z_dim=2), n=np.int64(3)))


@pytest.fixture(scope="module")
def small_files():
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.ones(2)}, zipped)
    torch.save({"w": torch.ones(2)}, legacy, _use_new_zipfile_serialization=False)
    return [SMALL, zipped.getvalue(), legacy.getvalue(), pickle.dumps(ARRAYS, 2), pickle.dumps(ARRAYS, 5)]


def test_a_file_cut_off_anywhere_is_an_error(small_files, tmp_path):
    for data in small_files:
        for end in range(0, len(data), 1 + len(data) // 1000):
            with pytest.raises(Refused):
                foreign._read(data[:end])
    for end in (0, 1, 2, len(SMALL) // 2, len(SMALL) - 1):
        refusal(SMALL[:end], tmp_path)


def survives(data, folder):
    """Reading gives an error of ours or a value, soon, and leaves no file."""
    before = set(folder.iterdir())
    began = time.process_time()
    try:
        content = read(data, folder)
        if isinstance(content, dict) and isinstance(content.get("G"), Record):
            module_tensors(content["G"])
    except (WeightsError, Refused):
        pass
    assert time.process_time() - began < 2
    assert set(folder.iterdir()) <= before | {folder / "file.pkl"}


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes(tmp_path_factory, data):
    survives(data, tmp_path_factory.getbasetemp())


OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
NAMES = ["c{}\n{}\n".format(*name.rsplit(".", 1)).encode() for name in foreign._vocabulary(None).makers]
TEXTS = [b"I3\n", b"S'f4'\n", b"K\x02", b"U\x02ab", b"C\x04abcd", b"h\x00", b"q\x00", b"\x85R", b"\x86R"]
PIECES = [*OPCODES, *NAMES, *TEXTS]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_random_programs(tmp_path_factory, pieces):
    survives(b"".join(pieces) + b".", tmp_path_factory.getbasetemp())


@settings(max_examples=500)
@given(st.integers(0, 4), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes(tmp_path_factory, small_files, which, flips):
    data = bytearray(small_files[which])
    for place, byte in flips:
        data[place % len(data)] = byte
    survives(bytes(data), tmp_path_factory.getbasetemp())


def test_other_files(tmp_path):
    assert refusal(b"", tmp_path).startswith("an empty file")
    assert "no data.pkl" in refusal(zip_of({"a.txt": b"x"}), tmp_path)
    assert "safetensors" in refusal((2).to_bytes(8, "little") + b"{}", tmp_path)
    assert "compressed" in refusal(zip_of({"x/data.pkl": b"N."}, zipfile.ZIP_DEFLATED), tmp_path)
    assert refusal(b"\xff\xd8", tmp_path) == (
        "no opcode of the pickle format: byte 0xff; it does not begin as the pickles of these programs do"
    )
    assert refusal(b"\xff\xd8\xff\xe0", tmp_path).startswith("a picture")
    assert "bytes after the end" in refusal(b"N.N.", tmp_path)
    for path in (tmp_path, tmp_path / "missing.pkl"):
        with pytest.raises(WeightsError, match="There is no weight file"):
            read_foreign(path)


def zip_of(files, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()

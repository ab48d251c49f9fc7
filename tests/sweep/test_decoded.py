from reidgen.config import ExtendConfig, ReidConfig
from reidgen.engine.cache import cache_folder
from reidgen.sweep.decoded import Decoded
from reidgen.sweep.launching.launch import Ended
from reidgen.sweep.plan import Job


def job(name, *, seed=0, share=1.0, extend=None):
    return Job(name, seed, share, extend, ReidConfig(backbone="resnet18"))


def done(digest):
    return Ended("", "done", {"train_hash": digest * 32})


def test_a_table_is_freed_after_its_last_run(monkeypatch, tmp_path):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path))
    kept = {letter: cache_folder() / f"{letter * 32}-64x32.npy" for letter in "abcde"}
    for path in kept.values():
        path.write_bytes(b"crops")
    more = ExtendConfig(people=5)
    decoded = Decoded(
        [
            job("base"),
            job("more-0", extend=more),
            job("more-1", seed=1, extend=more),
            job("half-0", share=0.5),
            job("half-1", seed=1, share=0.5),
            job("bad", extend=ExtendConfig(people=9)),
        ]
    )

    def left():
        return {letter for letter, path in kept.items() if path.exists()}

    results = {"base": done("a"), "more-0": done("b"), "half-0": done("c")}
    decoded.free(results)
    assert left() == {"a", "b", "d", "e"}  # each seed has a half of its own; the other run of "more" may need b
    decoded.free({**results, "more-1": done("b"), "bad": Ended("bad", "failed", text="NaN")})
    assert left() == {"a", "d", "e"}

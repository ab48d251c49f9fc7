"""How many crops of rendered people a second, and where the time goes.

    python benchmarks/render.py [people]

First the steps of a crop are timed in this process, in CPU seconds, so that a busy machine bends the shares little;
crops a second on 2 idle cores are twice the inverse of their sum. Then `render_people` runs as a user runs it (2
workers, 128x64, all maps), and crops are counted over the seconds from the first file to the last: start and compiling
are left out. Required: 15 crops a second on 2 cores.
"""

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import reidgen as rg
from reidgen.files import write_bytes
from reidgen.render import crops, shots
from reidgen.render.studio import Studio
from reidgen.render.worker import Task, render_tasks

CAMERAS, IMAGES, REQUIRED = 4, 4, 15


class Stopwatch:
    """CPU seconds by step."""

    def __init__(self):
        self.spent = defaultdict(float)

    def time(self, step, action):
        """Run an action and book its time."""
        began = time.process_time()
        out = action()
        self.spent[step] += time.process_time() - began
        return out


def steps_of(people, folder):
    """CPU seconds of each step over people x CAMERAS x IMAGES crops, and their number."""
    watch, studio, seed, size = Stopwatch(), Studio(0), 0, (128, 64)
    studio.take(shots.compose(seed, 1000, 1, 0, size))  # compiles or loads the kernel
    for pid in range(1, people + 1):
        watch.time("dress", lambda pid=pid: shots.person(seed, pid))
        for camid in range(1, CAMERAS + 1):
            for index in range(IMAGES):
                shot = watch.time("pose and place", lambda p=pid, c=camid, i=index: shots.compose(seed, p, c, i, size))
                watch.time("key points", lambda s=shot: studio.keypoints(s))
                light, hits, normals = watch.time("rays", lambda s=shot: studio._cast(s, 2))
                pixels = watch.time("develop", lambda s=shot, x=light: crops.develop(
                    x.reshape(128, 64, 3), s.camera, s.box, shots.stream(*s.key)))  # fmt: skip
                mask = (hits.reshape(128, 64, -1) != 255).mean(-1) >= 0.5
                watch.time("files", lambda m=mask, h=hits, n=normals, p=pixels: write_all(folder, m, h, n, p))
    return watch.spent, people * CAMERAS * IMAGES


def write_all(folder, mask, hits, normals, pixels):
    """The four files of a crop."""
    write_bytes(folder / "mask.png", crops.png(mask.astype("uint8") * 255))
    write_bytes(folder / "parts.png", crops.png(crops.part_map(hits.reshape(128, 64, -1), 11)))
    write_bytes(folder / "normals.png", crops.png(crops.normal_map(normals.reshape(128, 64, 3), mask)))
    write_bytes(folder / "crop.jpg", crops.jpeg(pixels, 88))


def crops_per_second(people, folder):
    """Crops a second of a whole run with two workers, by the times of its files."""
    config = rg.RenderConfig(people=people, cameras=CAMERAS, images_per_camera=IMAGES, workers=2, seed=1)
    table = rg.render_people(config, out=folder / "run")
    times = sorted(path.stat().st_mtime for path in table.paths)
    return (len(times) - 1) / (times[-1] - times[0])


def main():
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        list(render_tasks([Task(1, 1, 0, "warm.jpg")], rg.RenderConfig(), folder))
        spent, count = steps_of(people, folder)
        total = sum(spent.values())
        print(f"{'step':16s} {'ms a crop':>10s} {'share':>7s}")
        for step, seconds in spent.items():
            print(f"{step:16s} {1e3 * seconds / count:10.2f} {seconds / total:7.1%}")
        print(f"{'sum':16s} {1e3 * total / count:10.2f}")
        print(f"2 cores, by CPU time: {2 * count / total:.1f} crops/s (required {REQUIRED})")
        print(f"2 workers, by the clock: {crops_per_second(people, folder):.1f} crops/s")


if __name__ == "__main__":
    main()

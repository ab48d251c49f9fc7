"""Render the crops of some people in a process of its own: `python -m reidgen.render.worker` reads its task from stdin.

Prints one line of JSON per crop. Processes are started this way, not forked or spawned by multiprocessing, so that a
script that calls `render_people` needs no `if __name__ == "__main__"`.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reidgen.config import RenderConfig
from reidgen.data.provenance import Rendering
from reidgen.engine.devices.workers import answers
from reidgen.files import write_bytes
from reidgen.render import crops
from reidgen.render.shots import compose
from reidgen.render.studio import Studio

MAPS = {"none": (), "mask": ("mask",), "all": ("mask", "parts", "normals")}


@dataclass(frozen=True)
class Task:
    """One crop: who, by which camera, which of its pictures, and the file's name relative to the run."""

    pid: int
    camid: int
    index: int
    file_name: str


def map_path(kind: str, file_name: str) -> str:
    """Where the map of a crop lies, relative to the run: outside the image folders, which hold crops alone."""
    return f"maps/{kind}/{Path(file_name).stem}.png"


def render_tasks(tasks: list[Task], config: RenderConfig, out: Path) -> Iterator[dict[str, Any]]:
    """Render what is missing and yield what is known of each crop, in the order of the tasks.

    A crop counts as present when its image and its maps are there; files are written whole, the image last.
    """
    studio = Studio(config.seed)
    kinds = MAPS[config.maps]
    for task in tasks:
        shot = compose(config.seed, task.pid, task.camid, task.index, config.size)
        maps = {kind: map_path(kind, task.file_name) for kind in kinds}
        paths = [out / task.file_name, *(out / path for path in maps.values())]
        keypoints = studio.keypoints(shot)
        if not all(path.is_file() for path in paths):
            picture = studio.take(shot)
            images = {"mask": picture.mask.astype(np.uint8) * 255, "parts": picture.parts, "normals": picture.normals}
            for kind, path in maps.items():
                write_bytes(out / path, crops.png(images[kind]))
            write_bytes(out / task.file_name, crops.jpeg(picture.pixels, shot.camera.quality))
        yield {
            "file_name": task.file_name,
            "keypoints": keypoints.ravel().tolist(),
            "yaw": round(shot.place.yaw, 2),
            "operation": str(Rendering(config.seed, task.pid, task.camid, task.index, config.size, shot.pose.name)),
            **maps,
        }


def render_again(operations: Sequence[Rendering]) -> list[np.ndarray]:
    """The pixels of rendered crops, before JPEG, uint8 (H, W, 3) each."""
    studios: dict[int, Studio] = {}
    pictures = []
    for one in operations:
        shot = compose(one.seed, one.person, one.camera, one.index, one.size)
        pictures.append(studios.setdefault(one.seed, Studio(one.seed)).take(shot).pixels)
    return pictures


def main() -> None:
    """Work on the task that stands on stdin as JSON: config, out, tasks. Without anybody to tell it ends at once."""
    order = json.load(sys.stdin)
    config = RenderConfig(**{**order["config"], "size": tuple(order["config"]["size"])})
    stream = answers()
    for row in render_tasks([Task(**task) for task in order["tasks"]], config, Path(order["out"])):
        try:
            stream.write(json.dumps(row) + "\n")
            stream.flush()
        except OSError:
            os._exit(1)


if __name__ == "__main__":
    main()

"""A rotator's training: crops made of themselves, turned, and turned back, against a discriminator and a memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from reidgen.backbones.opening import open_resnet
from reidgen.config.generators.views import RotatorConfig
from reidgen.data.pixels.store import CropStore
from reidgen.data.samplers import EpochSampler
from reidgen.data.table import ReidTable
from reidgen.engine.devices.device import Fabric, derive_seed, gathered, summed
from reidgen.generators.sampling import to_pixels, to_tensor
from reidgen.generators.training.adversarial import SHOWN, AdversarialTraining
from reidgen.generators.views.structures import PLANES, Structures
from reidgen.losses.clusters.cluster_memory import cluster_contrast_loss, moved_memory
from reidgen.losses.gan.least_squares import least_squares_discriminator_loss, least_squares_generator_loss
from reidgen.losses.images.reconstruction import absolute_error
from reidgen.models.reid.ghost_norm import use_parts
from reidgen.models.views.identity import PARTS, PartEncoder
from reidgen.models.views.rotator import Rotator, exchanged
from reidgen.models.views.scales import ScaleDiscriminator

ROTATOR, JUDGE, MEMORY = "rotator", "discriminator", "memory"
OWN = 0  # the angle at which a body stands as on its crop


@dataclass(frozen=True, eq=False)
class ViewCrops:
    """What a rotator learns from, decoded.

    Attributes:
        table: The crops.
        pictures: Their pixels.
        structures: How their people stand.
    """

    table: ReidTable
    pictures: CropStore
    structures: Structures

    @classmethod
    def open(cls, table: ReidTable, config: RotatorConfig, angles: Sequence[int]) -> "ViewCrops":
        """Decode them.

        Raises:
            DataError: A file cannot be read.
        """
        pictures = CropStore.open(table, size=config.size)
        structures = Structures.open(table, config.structure, size=config.size, angles=angles, crops=pictures)
        return cls(table, pictures, structures)

    def to(self, device: torch.device) -> "ViewCrops":
        """The same with batches on a device."""
        return ViewCrops(self.table, self.pictures.to(device), self.structures.to(device))

    def images(self, rows: np.ndarray) -> Tensor:
        """Crops (B, 3, H, W) float32, -1 to 1."""
        return to_tensor(self.pictures.batch(rows))


class Memory(nn.Module):
    """One vector for each person, to which its crops are to be nearest.

    Attributes:
        vectors: float32 (people, channels).
    """

    vectors: Tensor

    def __init__(self, people: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(people, channels))


class RotatorTraining(AdversarialTraining):
    """The losses of joint generative and contrastive learning (Chen et al. 2021, section 3), on our own networks.

    Reconstruction, cycle over a new view, codes of turned people, a discriminator at several sizes, and the contrast
    of crops and turned crops with a memory. With labels a crop is also made of another crop of its person, as in Zheng
    et al. 2019, section 3.1.

    Attributes:
        crops: What it learns from.
        labels: Person of each crop, 0 to people - 1; without labels its row.
    """

    KIND: ClassVar = "rotator"
    SHEET: ClassVar = "turned"
    NAMES: ClassVar = ("loss_g", "loss_d", "gan", "reconstruction", "cycle", "codes", "contrast", "d_real", "d_fake")
    GROUPS: ClassVar = {ROTATOR: (ROTATOR,), JUDGE: (JUDGE,)}

    def __init__(self, config: RotatorConfig, fabric: Fabric, crops: ViewCrops) -> None:
        self.crops = crops
        own = np.unique(crops.table.pids, return_inverse=True)[1]
        self.labels = own if config.labels == "people" else np.arange(len(own))
        super().__init__(config, fabric, build_networks(config, int(self.labels.max()) + 1))
        if config.norm_batch is not None:
            use_parts(self.identity, config.norm_batch)
        self.sampler = EpochSampler(len(own), config.batch, config.seed)

    def moving(self, members: Sequence[str]) -> list[dict[str, Any]]:
        """As usual, but for the backbone, which moves by a share of the learning rate."""
        if members != (ROTATOR,):
            return super().moving(members)
        backbone = list(self.rotator.identity.backbone.parameters())
        learning = {id(one) for one in backbone}
        parts = [{"params": [one for one in self.rotator.parameters() if id(one) not in learning], "share": 1.0}]
        return [*parts, *([{"params": backbone, "share": self.config.identity_lr}] if self.config.identity_lr else [])]

    @property
    def rotator(self) -> Rotator:
        """The network that turns people."""
        network = self.networks[ROTATOR]
        assert isinstance(network, Rotator)
        return network

    @property
    def identity(self) -> PartEncoder:
        """Its identity encoder."""
        return self.rotator.identity

    def play(self) -> Sequence[Tensor]:
        """The rotator learns from the batch, then the memory and the discriminator."""
        if self.step == 0:
            self._fill_memory()
        if not self.config.identity_lr:
            self.identity.backbone.eval()
        rows = self.sampler.indices(self.step)
        crops, own, other, partners = self._batch(rows)
        people = torch.from_numpy(self.labels[rows]).to(crops.device)
        labels = people[self.own]
        with self.autocast():
            features, codes = self.identity(crops)
            made, turned = self.rotator(codes.repeat(2, 1, 1), torch.cat([own, other])).chunk(2)
            again, codes_again = self.identity(turned)
            back = self.rotator(codes_again, own)
        reconstruction = absolute_error(made, crops)
        if partners is not None:
            with self.autocast():
                same = self.rotator(self.identity(partners)[1], own)
            reconstruction = (reconstruction + absolute_error(same, crops)) / 2
        cycle, kept = absolute_error(back, crops), absolute_error(codes_again, codes.detach())
        contrast = self._contrast(features, labels) + self._contrast(again, labels)
        gan = _mean([least_squares_generator_loss(one) for one in self._judge(turned)])
        weights = self.config
        loss_g = weights.gan_weight * gan + weights.reconstruction_weight * reconstruction
        loss_g = loss_g + weights.cycle_weight * cycle + weights.code_weight * kept + weights.contrast_weight * contrast
        self.move(ROTATOR, loss_g)
        self._remember(gathered(self.fabric, features.detach()), people)
        loss_d, real, fake = self._discriminate(crops, turned.detach())
        return loss_g, loss_d, gan, reconstruction, cycle, kept, contrast, real, fake

    @torch.inference_mode()
    def sheet(self) -> np.ndarray:
        """A row a crop: it, its structure, made of itself, turned, as the next one stands, in its clothes."""
        rows = np.linspace(0, len(self.labels) - 1, SHOWN).astype(np.int64)
        crops, codes = self.crops.images(rows), self.identity(self.crops.images(rows))[1]
        own = self._structures(rows, OWN)
        shown = own.amax(dim=1, keepdim=True).expand(-1, 3, -1, -1)
        turned = [self._structures(rows, angle) for angle in self.config.angles] if self.meshes else []
        made = [self.rotator(codes, structure) for structure in (own, *turned, own.roll(-1, 0))]
        others = codes.roll(-1, 0)
        made += [self.rotator(exchanged(codes, others, parts), own) for parts in (tuple(range(PARTS)), (1,), (2, 3))]
        return to_pixels(torch.stack([crops, shown, *made], dim=1).flatten(0, 1))

    @property
    def meshes(self) -> bool:
        """Whether there are structures of each crop from other sides."""
        return self.config.structure == "mesh"

    def _batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Crops, how they stand, how they shall stand, and other crops of the same people; some mirrored, all alike.

        Of the rows of a batch those of this process.
        """
        angles = self.config.angles
        drawn = torch.rand((3, len(rows)), generator=self.random("batch")).numpy()[:, self.own]
        turns = np.array(angles)[(drawn[0] * len(angles)).astype(np.int64)]
        others = np.roll(rows, 1)[self.own]
        rows = rows[self.own]
        parts = [self.crops.images(rows), self._structures(rows, OWN)]
        parts.append(self._structures(rows, turns) if self.meshes else self._structures(others, OWN))
        if self.config.labels == "people":
            parts.append(self.crops.images(self._partners(rows, drawn[1])))
        if self.config.mirror:
            mirrored = torch.from_numpy(drawn[2] < 0.5).to(parts[0].device)[:, None, None, None]
            parts = [torch.where(mirrored, one.flip(3), one) for one in parts]
        return parts[0], parts[1], parts[2], parts[3] if len(parts) > 3 else None

    def _partners(self, rows: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Of each row another one of its person, by numbers from 0 to 1; itself where there is no other."""
        order = np.argsort(self.labels, kind="stable")
        first = np.searchsorted(self.labels[order], self.labels[rows])
        count = np.searchsorted(self.labels[order], self.labels[rows], side="right") - first
        place = np.argsort(order)[rows] - first
        further = 1 + (drawn * np.maximum(count - 1, 1)).astype(np.int64)
        partners: np.ndarray = order[first + (place + further) % count]
        return partners

    def _structures(self, rows: np.ndarray, angle: int | np.ndarray) -> Tensor:
        return self.crops.structures.batch(rows, np.broadcast_to(angle, len(rows)))

    def _contrast(self, features: Tensor, labels: Tensor) -> Tensor:
        memory = self.networks[MEMORY].vectors
        assert isinstance(memory, Tensor)
        return cluster_contrast_loss(features, labels, memory, temperature=self.config.temperature)

    @torch.no_grad()
    def _fill_memory(self) -> None:
        """Each person's mean feature before the first step, of length 1."""
        memory = self.networks[MEMORY]
        assert isinstance(memory, Memory)
        self.identity.eval()
        own = np.arange(len(self.labels))[self.fabric.global_rank :: self.fabric.world_size]
        for rows in np.array_split(own, -(-len(own) // self.config.batch)):
            features = functional.normalize(self.identity(self.crops.images(rows))[0], dim=1)
            memory.vectors.index_add_(0, torch.from_numpy(self.labels[rows]).to(features.device), features)
        memory.vectors.copy_(functional.normalize(summed(self.fabric, memory.vectors), dim=1))
        self.identity.train()

    def _remember(self, features: Tensor, labels: Tensor) -> None:
        memory = self.networks[MEMORY]
        assert isinstance(memory, Memory)
        memory.vectors.copy_(moved_memory(features, labels, memory.vectors, momentum=self.config.momentum))

    def _judge(self, crops: Tensor) -> list[Tensor]:
        with self.autocast():
            logits: list[Tensor] = self.networks[JUDGE](crops)
            return logits

    def _discriminate(self, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The discriminator learns, each of its sizes alike."""
        reals, fakes = self._judge(real), self._judge(made)
        loss = _mean([least_squares_discriminator_loss(*pair) for pair in zip(reals, fakes, strict=True)])
        self.move(JUDGE, loss)
        return loss, _mean([one.mean() for one in reals]), _mean([one.mean() for one in fakes])


def build_networks(config: RotatorConfig, people: int) -> nn.ModuleDict:
    """All networks of a training; random weights depend on the seed alone, those of the backbone are opened.

    Raises:
        WeightsError: The backbone's file cannot be had or read.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("rotator weights", config.seed))
        backbone = open_resnet(config)
        known = {"planes": PLANES[config.structure], "width": config.width, "code": config.code}
        networks = {
            ROTATOR: Rotator(backbone, **known),
            JUDGE: ScaleDiscriminator(config.size, width=config.width, scales=config.scales),
            MEMORY: Memory(people, backbone.channels),
        }
    return nn.ModuleDict(networks)


def angles_of(config: RotatorConfig) -> tuple[int, ...]:
    """The angles from which a training needs each crop's structure."""
    return (OWN, *config.angles) if config.structure == "mesh" else (OWN,)


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()

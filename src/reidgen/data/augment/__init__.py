"""Random changes to a whole batch, drawn per sample: geometry for pixels, masks and points, colours, erasing."""

from reidgen.data.augment.changes import IMAGENET_MEAN as IMAGENET_MEAN
from reidgen.data.augment.changes import IMAGENET_STD as IMAGENET_STD
from reidgen.data.augment.changes import apply as apply
from reidgen.data.augment.changes import augment as augment
from reidgen.data.augment.changes import normalise as normalise
from reidgen.data.augment.draws import Draws as Draws
from reidgen.data.augment.draws import draw as draw
from reidgen.data.augment.geometry import move_masks as move_masks
from reidgen.data.augment.geometry import move_points as move_points

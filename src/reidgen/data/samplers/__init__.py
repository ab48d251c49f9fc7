"""Which crops a step sees: functions of seed and step, so that resuming needs the step alone."""

from reidgen.data.samplers.camera_pairs import CameraPairSampler as CameraPairSampler
from reidgen.data.samplers.clusters import ClusterSampler as ClusterSampler
from reidgen.data.samplers.epoch import EpochSampler as EpochSampler
from reidgen.data.samplers.epoch import epoch_order as epoch_order
from reidgen.data.samplers.mixed import MixedSampler as MixedSampler
from reidgen.data.samplers.people import PeopleSampler as PeopleSampler

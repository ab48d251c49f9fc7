"""Building and opening the networks that look at crops: backbones, re-ID networks, perceptual ones."""

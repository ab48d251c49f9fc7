"""From files to pixels: crops, masks and key points, decoded once."""

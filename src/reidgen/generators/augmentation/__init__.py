"""What a discriminator sees of its images: random changes that do not leak into the generator."""

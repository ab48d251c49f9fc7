"""What StyleGAN2 and StyleGAN3 are made of."""

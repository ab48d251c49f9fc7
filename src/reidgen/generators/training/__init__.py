"""Training a generator of people: StyleGAN2, StyleGAN3 and DCGAN."""

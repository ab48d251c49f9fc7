"""Networks that turn a crop into one of another camera: U-Net, residual generators, patch and label discriminators."""

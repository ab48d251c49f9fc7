"""What is wrong with a dataset, found before a training meets it."""

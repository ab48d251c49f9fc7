"""One module a dataset format, with `read(root, config) -> ReidTable`; each is one line of the dict in `data.load`."""

"""Where a sweep's runs are done: worker processes here or on a cluster, and what a person sees of them."""

"""Fixed networks whose features measure how alike images are."""

"""The page that answers whether generated people helped."""

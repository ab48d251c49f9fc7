"""People in 3D: bodies, clothes, poses, cameras and places, and the crops a detector would cut of them."""

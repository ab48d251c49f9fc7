"""People without their clothes: bodies, hair, poses, and what each wears as numbers."""

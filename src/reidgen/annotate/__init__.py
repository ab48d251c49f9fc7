"""What is known of a crop: where the person is, its key points, and which way it faces."""

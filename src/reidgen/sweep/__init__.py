"""Many runs from one description: grids of options, seeds, parallel launch."""

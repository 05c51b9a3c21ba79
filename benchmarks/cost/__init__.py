"""What training costs, from the sizes of a model: memory of a rank and seconds of an iteration. It trains nothing."""

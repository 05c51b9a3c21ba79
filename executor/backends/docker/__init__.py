"""Sandboxes in Docker containers: the engine, the image, the backend, and the channel to a container."""

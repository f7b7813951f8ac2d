"""Teaching the networks: pictures and synthetic motion, perceptual losses, the loop, and what ships from it."""

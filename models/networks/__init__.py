"""The networks: our light generator and its style encoder, and the published ones it is measured against."""

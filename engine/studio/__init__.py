"""The studio: one live chain, shown and steered by any number of browsers.

`stage` runs the chain that all share, `peers` are the browsers' WebRTC sessions, `api` is what they may ask, `safety` what
they may not. `feed` is where frames come in, `broadcast` and `beside` where they go out, `encoder` what browsers get them
by, `guard` keeps a network that fails from stopping anything.
"""

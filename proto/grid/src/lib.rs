//! What a stored file is: caps, keys, sealing, erasure code, trees, share layout, placement

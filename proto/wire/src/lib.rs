//! What travels between nodes: generated messages, frames, and the one place where a wire type becomes a domain type

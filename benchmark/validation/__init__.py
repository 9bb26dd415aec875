"""The X-ray engine beside theory and peers: one topic a file, together one page."""

"""Planning on images: vessels of a CT, the roadmap over them and the path to a target."""

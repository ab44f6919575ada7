"""What both sides share: words, vectors, scores, privacy. It imports neither side."""

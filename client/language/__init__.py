"""What a device says and understands: conversations that refine a list, and texts for cards."""

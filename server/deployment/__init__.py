"""A federation over a network: Flower's SuperLink behind a gate, who may join it, and what it publishes."""

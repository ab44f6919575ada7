"""What runs beside a person's history: training on it, and recommending from it."""

"""What runs into shards cost and survive: engines side by side, kills, many objects, growth on paper."""

"""Published models, one file each: the layer, and the block that its paper builds around it."""

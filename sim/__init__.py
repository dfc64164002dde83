"""The world, not the product: goods, people, steel, light and faults. Nothing of the product imports it."""

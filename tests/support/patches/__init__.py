"""What a test changes in a node: modules that it imports before it does anything."""

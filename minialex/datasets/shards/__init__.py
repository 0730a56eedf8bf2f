"""Pictures packed for training: written once, and read as fast as JPEGs can be decoded."""

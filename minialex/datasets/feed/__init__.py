"""From images to what a network sees: crops, mirror images, colours, ten views, batches."""

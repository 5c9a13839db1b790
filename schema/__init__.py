"""The language the processes share: what Zoom sends, what is kept, what people read."""

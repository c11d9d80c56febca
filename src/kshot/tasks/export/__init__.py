"""A task as files that need no kshot: an ONNX network, numbers as JSON, and thirty lines of numpy that answer with them."""

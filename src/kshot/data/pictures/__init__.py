"""Pictures: Omniglot, folders of pictures, and how ink and photographs are read."""

"""Pictures: Omniglot, folders of pictures, and what makes tensors of ink and photographs."""

"""What several learners share: centres, scores of items, linear heads, spaces in which items are compared, feature maps."""

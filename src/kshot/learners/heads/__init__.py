"""What several learners share: centres, item scores, linear heads, comparison spaces, feature maps."""

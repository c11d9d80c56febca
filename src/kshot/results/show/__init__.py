"""Pictures of results, and the report page."""

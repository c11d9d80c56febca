"""The page at `/`: plain HTML, CSS and one script, and the route that serves them."""

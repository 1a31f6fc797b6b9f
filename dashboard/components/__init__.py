"""Components of our own, each with its JavaScript and CSS."""

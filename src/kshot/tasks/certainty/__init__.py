"""How sure an answer is: calibration of probabilities, sets that hold the right class, and things of no known class."""

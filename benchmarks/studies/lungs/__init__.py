"""How well the lungs are found: against the cascades, against boxes checked by hand, in domains left out.

`hand_checked.csv` has 60 films, twelve of each domain of the validation and test films, drawn by a seed; a
box encloses both lungs, from the apex to the costophrenic angles. `corrected` says where the box of the
cascades was wrong.
"""

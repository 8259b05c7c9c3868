"""The page of `--report`: one HTML file for a run, with its pictures in a folder beside it.

`page` writes it, `rows` are what its table holds, `sections` and `histogram` the parts that need no script,
`text` makes what comes from the data fit for a page. `page.html`, `page.css` and `page.js` are its form: the
script builds the table from data and never from markup. The pictures are `pictures`.
"""

"""The page of `--report`: one HTML file for a run, with its pictures in a folder beside it.

A row's way: `run_page` takes it in, with the places of its `report_pictures`; `page_rows` keeps it as a line
of JSON until the page is put together; `page_text` makes what comes from the data fit for a page. `sections`
and `histogram` are the parts that need no script. `shell` is what this page shares with the reports of a
training and of a benchmark. `page.html`, `page.css` and `page.js` are its own form: the script builds the
table from data and never from markup.
"""

"""Tables, results.csv, the README's table and the HTML page of a results.json. Nothing is measured here."""

"""What is made beside the rows: heat maps, the page of a run, DICOM objects.

`artifacts` opens what is asked for. One image's way: the engine gives each artifact a `Classified`;
`overlays` has its maps made and drawn (`heatmaps`) and writes them under the name that `naming` gives; so do
`page.report_pictures`, at the sizes of `shrinking`, and `dicom.objects`. `page` also takes in every row.
"""
